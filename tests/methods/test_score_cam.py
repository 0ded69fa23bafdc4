"""Score-CAM: a replica by loops, torchcam as oracle, and maps that depend on the image alone."""

from collections import OrderedDict

import torch
import torchcam.methods
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.methods import ScoreCam
from pipeline.methods.method import image_seeds
from tests.networks import images, small_vgg

LAYER = "3"


def near(found: Tensor, expected: Tensor, share: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=share * expected.abs().max().item())


def activation_of(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return network[:4](x)  # type: ignore[index]


def replica(network: nn.Module, image: Tensor, baseline: Tensor, target: int) -> Tensor:
    """(h, w), before the ReLU."""
    channels = activation_of(network, image[None])[0]
    scores = []
    for channel in channels:
        mask = interpolate(channel[None, None], image.shape[1:], mode="bilinear")[0, 0]
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        with torch.no_grad():
            masked = network((baseline + mask * (image - baseline))[None])[0, target]
            scores.append(masked - network(baseline[None])[0, target])
    powers = torch.stack(scores).exp()
    return sum(power / powers.sum() * channel for power, channel in zip(powers, channels, strict=True))


def test_replica() -> None:
    network, x, baseline = small_vgg().double(), images(2, 40, 56), images(1, 40, 56)
    targets = torch.tensor([[1, 4], [7, 2]])
    method = ScoreCam(network, layer=LAYER, baselines=baseline, relu_attributions=False, internal_batch_size=5)
    attribution = method.explain(x, targets, scores=torch.zeros(2, 2), seeds=image_seeds(0, [0, 1]))
    for i in range(2):
        for t in range(2):
            near(attribution.maps[i, t, 0], replica(network, x[i], baseline[0], targets[i, t]))
    with torch.no_grad():
        near(attribution.baseline_score, network(baseline)[0][targets])
    assert attribution.evaluations == 16 + 2
    positive = ScoreCam(network, layer=LAYER, baselines=baseline)
    near(positive(x, [1, 7]), interpolate(attribution.maps[:, 0].relu(), (40, 56)))


def test_oracle() -> None:
    """torchcam's maps go from 0 to 1; it normalises channels before it enlarges them, so here they have its size."""
    layers = OrderedDict(
        first=nn.Conv2d(3, 8, 3, padding=1), relu=nn.ReLU(), layer=nn.Conv2d(8, 12, 3, 1, 1), second=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(2), flat=nn.Flatten(), last=nn.Linear(48, 10),
    )  # fmt: skip
    torch.manual_seed(3)
    network, x = nn.Sequential(layers).eval().double(), images(2, 40, 56)
    found = ScoreCam(network, layer="layer", internal_batch_size=7).explain(
        x, torch.tensor([[1], [7]]), scores=torch.zeros(2, 1), seeds=image_seeds(0, [0, 1])
    )
    with torch.no_grad(), torchcam.methods.ScoreCAM(network, "layer", input_shape=(3, 40, 56)) as reference:
        scores = network(x)
        (expected,) = reference([1, 7], scores)
    maps = found.maps[:, 0, 0]
    lowest, highest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    near((maps - lowest) / (highest - lowest), expected, 1e-6)


class Spots(nn.Module):
    """Channels that are the image's left and right half; the output reads the left half alone."""

    def __init__(self) -> None:
        super().__init__()
        self.halves = nn.Identity()

    def forward(self, points: Tensor) -> Tensor:
        grey, left = points.mean(1, keepdim=True), torch.arange(points.shape[3]) < points.shape[3] // 2
        self.halves(torch.cat((grey * left, grey * ~left, torch.full_like(grey, 2.0)), 1))
        return 100 * (points * left).mean((1, 2, 3))[:, None]


def test_a_known_answer() -> None:
    """All weight goes to the half that the output reads; a constant channel masks all and gets none."""
    x = torch.rand(2, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1
    map = ScoreCam(Spots(), layer="halves")(x)
    near(map[:, 0, :, :6], x.mean(1)[:, :, :6], 1e-6)
    assert map[:, 0, :, 6:].max() < 1e-6


def test_maps_do_not_depend_on_batch_or_chunk() -> None:
    network, x = small_vgg().double(), images(3, 40, 56)
    whole = ScoreCam(network, layer=LAYER, baselines="blur", internal_batch_size=100)(x, [1, 7, 3])
    part = ScoreCam(network, layer=LAYER, baselines="blur", internal_batch_size=3)(x[[2, 0]], [3, 1])
    near(part, whole[[2, 0]])
