"""The material of the benchmarks: networks, photographs, and the machine."""

import math
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.data.decode import read_image
from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.data.preprocessing import Preprocessing
from pipeline.models import demo

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CALIBRATED = 16
"""Photographs whose statistics the batch norms of a network with random weights get."""
VERSIONS = ("torch", "torchvision", "captum", "zennit", "torchcam")


def side(name: str) -> int:
    """Height and width of the images of a network, in pixels."""
    return 299 if name == "inception_v3" else 224


def photographs(count: int, size: int) -> Tensor:
    """The first photographs of every folder of IMAGENET_SAMPLE, or else the demo's, as (count, 3, size, size)."""
    preprocessing = Preprocessing(math.ceil(size * 256 / 224), (size, size), *IMAGENET)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.environ.get("IMAGENET_SAMPLE", folder))
        if root == Path(folder):
            write_demo_photographs(root)
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        taken = [paths[number * len(paths) // count] for number in range(count)]
        pixels = torch.stack([preprocessing(read_image(path))[0] for path in taken])
    return preprocessing.normalize(pixels / 255)


def source() -> str:
    """Source of the photographs."""
    return "ImageNet's validation set" if "IMAGENET_SAMPLE" in os.environ else "the demo's photographs"


def network(name: str) -> nn.Module:
    """A network in eval mode: EfficientNet-Lite0 as trained, any other with random weights and real statistics."""
    if name == "efficientnet_lite0":
        return demo.load().module
    torch.manual_seed(0)
    extra = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    module: nn.Module = torchvision.models.get_model(name, **extra)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            layer.reset_parameters()  # torchvision's transformers start with a last layer of zeros
    if not norms:
        return module.eval()
    for layer in norms:
        layer.momentum = None  # the statistics of the photographs alone, without the initial ones
    with torch.no_grad():
        module.train()(photographs(CALIBRATED, side(name)))
    return module.eval()


def requested(name: str, device: torch.device) -> tuple[nn.Module, Tensor, int]:
    """A network, one photograph, and the class that the one sees in the other."""
    module, images = network(name).to(device), photographs(1, side(name)).to(device)
    with torch.no_grad():
        return module, images, int(module(images).argmax())


def operations(module: nn.Module, image: Tensor) -> int:
    """Multiplications and additions of the matrix products and convolutions of one forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return int(counter.get_total_flops())


def machine(device: torch.device) -> str:
    """Processor, threads and versions, in a line."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
        models = [line.split(": ", 1)[1] for line in lines if line.startswith("model name")]
        processor = models[0] if models else platform.processor()
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return f"{processor}, {torch.get_num_threads()} thread, Python {platform.python_version()}, {versions}"
