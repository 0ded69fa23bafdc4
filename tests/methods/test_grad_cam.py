import math

import captum.attr
import pytest
import torch
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

from pipeline.engine.geometry import Grid, from_json
from pipeline.methods import GradCamPlusPlus, GuidedBackprop, GuidedGradCam, LayerGradCam
from pipeline.view import View
from tests.networks import images, resnet18, small_vgg

LAYERS = [(resnet18, "layer3.1.conv2"), (resnet18, "layer4"), (small_vgg, "0"), (small_vgg, "3"), (small_vgg, "4")]


def vit():
    torch.manual_seed(5)
    network = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=7).eval()
    nn.init.normal_(network.heads.head.weight)
    return network


def swin():
    torch.manual_seed(6)
    return SwinTransformer([4, 4], 8, [2, 2], [2, 2], [2, 2], num_classes=7).eval()


def near(map, expected, share=1e-6):
    torch.testing.assert_close(map, expected, rtol=0, atol=share * expected.abs().max().item())


def at(network, layer, image, target):
    """Value and gradient of a layer by a hook of its own, for one image."""
    stored = {}

    def store(_module, _inputs, output):
        stored["value"] = output.clone()
        stored["value"].retain_grad()
        return stored["value"] * 1

    handle = network.get_submodule(layer).register_forward_hook(store)
    network(image[None])[0, target].backward()
    handle.remove()
    network.zero_grad()
    return stored["value"][0].detach(), stored["value"].grad[0]


def grad_cam(value, gradient):
    """Literally, place by place, for (K, h, w)."""
    channels, height, width = value.shape
    map = torch.zeros(height, width, dtype=value.dtype)
    for k in range(channels):
        weight = sum(gradient[k, y, x] for y in range(height) for x in range(width)) / (height * width)
        map += weight * value[k]
    return map


def grad_cam_plus_plus(value, gradient):
    """Equations 5, 19 and 6 of the paper, literally, for exp(score) = 1."""
    channels, height, width = value.shape
    map = torch.zeros(height, width, dtype=value.dtype)
    for k in range(channels):
        total, weight = value[k].sum(), 0.0
        for y in range(height):
            for x in range(width):
                g = gradient[k, y, x]
                alpha = g**2 / (2 * g**2 + total * g**3) if g != 0 else 0.0
                weight += alpha * max(g, 0)
        map += weight * value[k]
    return map.clamp(min=0)


@pytest.mark.parametrize(("method", "replica"), [(LayerGradCam, grad_cam), (GradCamPlusPlus, grad_cam_plus_plus)])
@pytest.mark.parametrize(("build", "layer"), [(resnet18, "layer4"), (small_vgg, "5")])
def test_replica(method, replica, build, layer):
    network, x = build().double(), images(2, 64, 72)
    explained = method(network, layer=layer)
    attribution = explained.explain(x, torch.tensor([[1, 4], [7, 2]]), scores=torch.zeros(2, 2), seeds=torch.zeros(2))
    for i, t, target in [(0, 0, 1), (0, 1, 4), (1, 1, 2)]:
        near(attribution.maps[i, t, 0], replica(*at(network, layer, x[i], target)), 1e-12)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize(("build", "layer"), LAYERS)
def test_oracle(build, layer, mode, rectified):
    network, x, targets = build().double(), images(3, 64, 72), torch.tensor([1, 7, 3])
    reference = captum.attr.LayerGradCam(network, network.get_submodule(layer))
    native = reference.attribute(x, targets, relu_attributions=rectified).detach()
    expected = captum.attr.LayerAttribution.interpolate(native, (64, 72), mode)
    method = LayerGradCam(network, layer=layer, interpolate_mode=mode, relu_attributions=rectified)
    near(method(x, targets), expected)
    assert method.geometry((3, 64, 72)).native_shape == native.shape[1:]


def test_tokens_of_a_vision_transformer_are_at_their_patches():
    network, x, layer = vit().double(), images(2, 32, 32), "encoder.layers.encoder_layer_1.ln_1"
    map = LayerGradCam(network, layer=layer)(x, 3)
    for i in range(2):
        value, gradient = at(network, layer, x[i], 3)
        assert value.shape == (17, 16)  # the class token and 4 x 4 patches
        expected = torch.zeros(32, 32, dtype=x.dtype)
        weights = gradient[1:].mean(0)
        for row in range(4):
            for column in range(4):
                patch = (value[1 + 4 * row + column] * weights).sum()
                expected[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = patch
        near(map[i, 0], expected, 1e-12)
    assert map.abs().max() > 0


def test_swin_has_its_channels_last():
    network, x = swin().double(), images(2, 64, 72)
    map = LayerGradCam(network, layer="features.1")(x, 3)
    for i in range(2):
        value, gradient = (values.permute(2, 0, 1) for values in at(network, "features.1", x[i], 3))
        assert value.shape == (8, 16, 18)
        near(map[i, 0, ::4, ::4], grad_cam(value, gradient), 1e-12)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.relu, self.idle = nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3)

    def forward(self, x):
        self.idle(x)
        return self.relu(self.convolution(self.relu(x))).sum((2, 3))


@pytest.mark.parametrize(
    ("network", "layer", "words"),
    [
        (resnet18, "layer3.2.conv2", r"did you mean .*layer3\.1\.conv2"),
        (Twice, "relu", "relu runs 2 times"),
        (resnet18, "fc", r"no positions in the image"),
        (swin, "features.1.0.attn.qkv", "runs 0 times"),
    ],
)
def test_an_impossible_layer_is_refused_before_any_work(network, layer, words):
    with pytest.raises(ValueError, match=words):
        LayerGradCam(network(), layer=layer).geometry((3, 64, 64))


def test_a_layer_on_which_nothing_depends_is_refused():
    network = Twice().eval().requires_grad_(False)
    with pytest.raises(ValueError, match="do not depend on idle"):
        LayerGradCam(network, layer="idle")(images(1, 64, 72, torch.float32), 1)


@pytest.mark.parametrize("method", [LayerGradCam, GradCamPlusPlus])
def test_maps_do_not_depend_on_batch_or_chunk(method):
    network, x = resnet18().double(), images(3, 64, 72)
    whole = method(network, layer="layer3", internal_batch_size=3)(x, [1, 7, 3])
    for i, target in enumerate([1, 7, 3]):
        other = method(network, layer="layer3", internal_batch_size=2)(x[[i, 0, 1]], [target, 1, 2])
        torch.testing.assert_close(other[0], whole[i])


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")  # Captum's
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize(("build", "layer"), LAYERS)
def test_guided_grad_cam_oracle(build, layer, mode):
    network, x, targets = build().double(), images(3, 64, 72), torch.tensor([1, 7, 3])
    reference = captum.attr.GuidedGradCam(network, network.get_submodule(layer))
    expected = reference.attribute(x, targets, interpolate_mode=mode).detach()
    near(GuidedGradCam(network, layer=layer, interpolate_mode=mode)(x, targets), expected)


def test_guided_grad_cam_is_the_product_of_its_two():
    network, x, targets = small_vgg().double(), images(2, 64, 72), torch.tensor([[1, 4], [7, 2]])
    given = {"scores": torch.zeros(2, 2), "seeds": torch.zeros(2)}
    guided = GuidedBackprop(network).explain(x, targets, **given).maps
    coarse = LayerGradCam(network, layer="3").explain(x, targets, **given).maps.clamp(min=0)
    product = guided * coarse.repeat_interleave(2, 3).repeat_interleave(2, 4)  # the grid is half the image's
    attribution = GuidedGradCam(network, layer="3", internal_batch_size=1).explain(x, targets, **given)
    near(attribution.maps, product, 1e-12)


def test_guided_grad_cam_refuses_what_its_nested_methods_refuse():
    with pytest.raises(ValueError, match="calls neither"):
        GuidedGradCam(vit(), layer="encoder.layers.encoder_layer_1.ln_1").geometry((3, 32, 32))
    with pytest.raises(ValueError, match="no positions in the image"):
        GuidedGradCam(resnet18(), layer="fc").geometry((3, 64, 64))


def test_any_output_of_the_view_is_explained():
    network, x = small_vgg().double(), images(2, 64, 72)
    probability = LayerGradCam(View(network, output="probability"), layer="3")(x, 4)
    with_softmax = nn.Sequential(network, nn.Softmax(1))
    near(probability, LayerGradCam(with_softmax, layer="0.3")(x, 4))


def test_the_network_is_left_unchanged_also_after_an_error():
    network, x = resnet18(), images(2, 64, 72, torch.float32)
    method = LayerGradCam(network, layer=network.layer3, internal_batch_size=1)
    calls = []

    def fail():
        calls.append(1)
        if len(calls) == 4:  # two passes for the logits, then the second of the maps
            raise InterruptedError

    method.on_chunk(fail)
    with pytest.raises(InterruptedError):
        method(x, 1)
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_grid_round_trips_through_json_and_reads_float16():
    grid = Grid((3, 64, 72), (2, 3), "bilinear")
    assert from_json(grid.to_json()) == grid
    native = torch.tensor([[[[0.0, 1, 2], [3, 4, 5]]]])
    assert grid.expand(native.half()).shape == (1, 1, 64, 72)
    # by hand: pixel (y, x) has its centre at ((y + 1/2) / 64, (x + 1/2) / 72) of the image
    y, x = (20.5 / 64) * 2 - 0.5, (40.5 / 72) * 3 - 0.5
    near(grid.expand(native)[0, 0, 20, 40], torch.tensor(3 * y + x))
    assert math.isclose(grid.expand(native)[0, 0, 0, 0], 0)
    with pytest.raises(ValueError, match="interpolate_mode must be nearest or bilinear, not 'cubic'"):
        Grid((3, 64, 72), (2, 3), "cubic")
