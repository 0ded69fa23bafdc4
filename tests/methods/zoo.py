"""Classifiers of every common kind, with random weights and the batch norm statistics of photographs."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import timm
import torch
import torchvision
import transformers
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import functional

from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.models import demo
from pipeline.models.checkpoint import IMAGENET

CLASSES = 10


@dataclass(frozen=True)
class Kind:
    """A network and the facts that the tests need of it.

    Attributes:
        build: The network, whatever its weights.
        layer: Name of a layer whose values have positions in the image.
        size: Height and width of its input here.
        places: The layer's values -> (N, K, h, w), for a layer with another layout.
        rectifies: It calls ReLU or ReLU6.
        products: It multiplies values that depend on the image, or has an activation for which Captum has no rule.
    """

    build: Callable[[], nn.Module]
    layer: str
    size: tuple[int, int] = (48, 64)
    places: Callable[[Tensor], Tensor] | None = None
    rectifies: bool = True
    products: bool = False


def torchvision_network(name: str, **options: object) -> Callable[[], nn.Module]:
    return partial(torchvision.models.get_model, name, weights=None, num_classes=CLASSES, **options)


def vgg16() -> nn.Module:
    """138 million weights of its classifier left out, the others as large as ReLU needs."""
    network = torchvision.models.VGG(torchvision.models.vgg16().features, num_classes=1)
    network.avgpool = nn.AdaptiveAvgPool2d(2)
    network.classifier = nn.Sequential(nn.Linear(2048, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, CLASSES))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network


def vit_b_16() -> nn.Module:
    """Four of its twelve blocks, which are all alike: the whole takes gigabytes in float64."""
    network = torchvision.models.VisionTransformer(
        image_size=32, patch_size=16, num_layers=4, num_heads=12, hidden_dim=768, mlp_dim=3072, num_classes=CLASSES
    )
    nn.init.normal_(network.heads.head.weight)  # zeros, as they are built
    return network


def hugging_face() -> nn.Module:
    configuration = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64], depths=[1, 2, 1], layer_type="basic", num_labels=CLASSES
    )
    return transformers.ResNetForImageClassification(configuration)


def tokens(values: Tensor) -> Tensor:
    """Feature maps of a vision transformer's tokens, the class token first: (N, 1 + 4, K) -> (N, K, 2, 2)."""
    return values[:, 1:].transpose(1, 2).unflatten(2, (2, 2))


ZOO = {
    "resnet18": Kind(torchvision_network("resnet18"), "layer3.1.conv2"),
    "resnet50": Kind(torchvision_network("resnet50"), "layer3"),
    "vgg16": Kind(vgg16, "features.28", size=(32, 40)),
    "densenet121": Kind(torchvision_network("densenet121"), "features.denseblock3"),
    "inception_v3": Kind(
        torchvision_network("inception_v3", init_weights=False, aux_logits=False), "Mixed_6e", size=(80, 96)
    ),
    "mobilenet_v3": Kind(torchvision_network("mobilenet_v3_small"), "features.8", products=True),
    "efficientnet_b0": Kind(torchvision_network("efficientnet_b0"), "features.5", rectifies=False, products=True),
    "efficientnet_lite0": Kind(lambda: demo.load().module, "blocks.10"),
    "regnet": Kind(torchvision_network("regnet_y_400mf"), "trunk_output.block3", products=True),
    "convnext_tiny": Kind(torchvision_network("convnext_tiny"), "features.5", rectifies=False, products=True),
    "vit_b_16": Kind(vit_b_16, "encoder.layers.encoder_layer_2.ln_1", (32, 32), tokens, rectifies=False, products=True),
    "swin_t": Kind(
        torchvision_network("swin_t"), "features.3", (32, 64), lambda v: v.movedim(3, 1), rectifies=False, products=True
    ),
    "timm": Kind(partial(timm.create_model, "mobilenetv4_conv_small_050", num_classes=CLASSES), "blocks.2"),
    "hugging_face": Kind(hugging_face, "resnet.encoder.stages.1"),
}


@lru_cache(maxsize=1)  # they come one after the other, and are large
def network(name: str) -> nn.Module:
    """In eval mode, float64."""
    gc.collect()  # of the one before, traced copies refer to themselves
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ZOO[name].build().double()
    if name != "efficientnet_lite0":  # it has its own
        calibrate(model, photographs(*ZOO[name].size))
    return model.eval()


def calibrate(model: nn.Module, images: Tensor) -> None:
    """Gives batch norm the statistics of the images, and a random weight and bias."""
    generator = torch.Generator().manual_seed(1)
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average
            module.reset_running_stats()
            module.train()
            with torch.no_grad():
                module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator) / 5)
    with torch.no_grad():
        model(images)
    model.eval()


@cache
def photographs(height: int, width: int) -> Tensor:
    """The demo's seven, as a network sees them, float64 (7, 3, height, width)."""
    with TemporaryDirectory() as folder:
        write_demo_photographs(Path(folder))
        files = sorted(file for file in Path(folder).rglob("*") if file.suffix in (".png", ".jpg"))
        pixels = [
            functional.pil_to_tensor(functional.resize(Image.open(file).convert("RGB"), [height, width]))
            for file in files
        ]
    return IMAGENET.normalize(torch.stack(pixels).double() / 255)
