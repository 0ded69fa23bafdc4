"""Two roads: the incremental engine gives what whole evaluations of the occluded images give."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.engine import winograd
from pipeline.engine.incremental.evaluator import IncrementalEvaluator, NotLocal
from pipeline.engine.network.trace import CannotTrace

SIZE = (33, 29)
CORNERS = torch.tensor([
    [0, 0, 5, 5], [0, 24, 5, 29], [28, 0, 33, 5], [28, 24, 33, 29], [0, 10, 4, 19], [29, 10, 33, 12], [10, 0, 17, 3],
    [11, 26, 14, 29], [12, 13, 17, 18], [13, 12, 14, 13], [0, 0, 33, 29], [0, 7, 33, 8], [31, 27, 33, 29],
])  # fmt: skip


@pytest.fixture(autouse=True)
def winograd_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Winograd's algorithm in float64 too, where rounding does not hide a wrong index."""
    is_faster = winograd.is_faster
    monkeypatch.setattr(winograd, "is_faster", lambda convolution: is_faster(copy.deepcopy(convolution).float()))


def randomise(network: nn.Module) -> nn.Module:
    """The network in eval mode, in float64, with batch statistics of random images."""
    network.double().train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, *SIZE, dtype=torch.float64))
    return network.eval()


def dense(
    network: nn.Module, images: Tensor, baseline: Tensor, boxes: Tensor, channels: Tensor | None = None
) -> Tensor:
    """(N, G, K), one whole evaluation a window."""
    rows = []
    for number, box in enumerate(boxes.tolist()):
        first, last = (0, images.shape[1]) if channels is None else channels[number].tolist()
        occluded = images.clone()
        area = (slice(None), slice(first, last), slice(box[0], box[2]), slice(box[1], box[3]))
        occluded[area] = baseline.expand_as(images)[area]
        rows.append(network(occluded))
    return torch.stack(rows, 1).detach()


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 5))


class Branches(nn.Module):
    """Branches of unequal reach: concatenation, sum, constants, functional pools, padding, a slice of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(8, 8, (1, 7), padding=(0, 3))
        self.dilated = nn.Conv2d(8, 8, 3, padding="same", dilation=2)
        self.narrow = nn.Conv2d(8, 8, 1, stride=2)
        self.norm = nn.BatchNorm2d(24)
        self.scale = nn.Parameter(torch.rand(24, 1, 1))
        self.last = nn.Conv2d(24, 6, 3, stride=2)
        self.head = head(6)

    def forward(self, images: Tensor) -> Tensor:
        images = torch.cat([images[:, 0:2] * 0.5 + 0.1, images[:, 2:3]], 1)
        x = F.relu(self.stem(images), inplace=True)
        x = torch.cat([self.wide(x), self.dilated(x) + x, F.avg_pool2d(x, 3, stride=1, padding=1)], 1)
        x = F.relu(self.norm(x)) * self.scale
        other = self.narrow(F.pad(x[:, 8:16], (1, 0, 2, 1), value=0.3))
        pooled = F.max_pool2d(F.pad(x, (1, 0, 2, 1), value=-0.1), 3, stride=2, padding=1)
        return self.head(self.last(torch.cat([other, pooled[:, :16]], 1)))


class Gated(nn.Module):
    """Squeeze and excitation: local no further than the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(inplace=True))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.last = nn.Conv2d(8, 8, 3, groups=8)
        self.head = head(8)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        return self.head(self.last(x * self.gate(x)))


def plain(*layers: nn.Module, channels: int = 8) -> nn.Sequential:
    stem = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    return nn.Sequential(*stem, *layers, head(channels))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "winograd": lambda: plain(nn.Conv2d(8, 96, 1), nn.Conv2d(96, 100, 3, padding=1), nn.ReLU6(), channels=100),
    "winograd, no padding, no bias": lambda: plain(nn.Conv2d(8, 97, 3), nn.Conv2d(97, 96, 3, bias=False), channels=96),
    "groups": lambda: plain(nn.Conv2d(8, 16, 5, stride=3, padding=2, groups=4), nn.GELU(), channels=16),
    "stride beyond the kernel": lambda: plain(nn.Conv2d(8, 8, 2, stride=5), nn.Hardswish()),
    "max pool": lambda: plain(nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d(2, ceil_mode=True)),
    "dilated max pool": lambda: plain(nn.MaxPool2d(3, 2, padding=1, dilation=2)),
    "average pool": lambda: plain(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.Sigmoid()),
    "average pool, ceil": lambda: plain(nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True)),
    "divisor": lambda: plain(nn.AvgPool2d(3, 2, divisor_override=4), nn.PReLU(8)),
    "zero padding": lambda: plain(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU6(), nn.Dropout()),
    "unknown in the middle": lambda: plain(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(8)),
    "branches": Branches,
    "gated": Gated,
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_whole_evaluations(name: str) -> None:
    torch.manual_seed(0)
    network = randomise(NETWORKS[name]())
    images = torch.randn(2, 3, *SIZE, dtype=torch.float64)
    baseline = torch.randn(1, 3, *SIZE, dtype=torch.float64)
    expected = dense(network, images, baseline, CORNERS)
    engine = IncrementalEvaluator(network, images[:1], internal_batch_size=4)
    scale = expected.max() - expected.min()
    assert (engine.values(images, baseline, CORNERS) - expected).abs().max() < 1e-10 * scale
    changed = (expected - network(images)[:, None]).abs().amax(dim=(0, 2)) > 1e-8 * scale
    assert changed.sum() >= len(CORNERS) - 1  # one window lies between the positions that a stride of 5 reads
    single = IncrementalEvaluator(network.float(), images[:1].float())
    assert (single.values(images.float(), baseline.float(), CORNERS) - expected).abs().max() < 5e-5 * scale


@pytest.mark.parametrize("name", ["winograd", "branches"])
@pytest.mark.parametrize("internal_batch_size", [1, 5, 64])
def test_same_for_every_chunk_and_after_other_boxes(name: str, internal_batch_size: int) -> None:
    torch.manual_seed(1)
    network = randomise(NETWORKS[name]())
    images, baselines = torch.randn(2, 2, 3, *SIZE, dtype=torch.float64)
    engine = IncrementalEvaluator(network, images[:1], internal_batch_size=internal_batch_size)
    for boxes in (CORNERS, CORNERS[3:7], CORNERS.flip(0)):
        torch.testing.assert_close(engine.values(images, baselines, boxes), dense(network, images, baselines, boxes))


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_over_some_channels(name: str) -> None:
    torch.manual_seed(2)
    network = randomise(NETWORKS[name]())
    images, baselines = torch.randn(2, 2, 3, *SIZE, dtype=torch.float64)
    channels = torch.tensor([[0, 1], [1, 3], [2, 3], [0, 3]])[torch.arange(len(CORNERS)) % 4]
    engine = IncrementalEvaluator(network, images[:1])

    def inside(window: Tensor, position: Tensor) -> Tensor:
        first, last = channels[window].unsqueeze(2).unbind(1)
        return (torch.arange(3) >= first) & (torch.arange(3) < last)

    found = engine.values(images, baselines, CORNERS, inside)
    torch.testing.assert_close(found, dense(network, images, baselines, CORNERS, channels))


@pytest.mark.parametrize("name", NETWORKS)
def test_few_windows_of_several_images_together(name: str) -> None:
    torch.manual_seed(6)
    network = randomise(NETWORKS[name]())
    images, baselines = torch.randn(2, 5, 3, *SIZE, dtype=torch.float64)
    engine, checks = IncrementalEvaluator(network, images[:1], internal_batch_size=3 * len(CORNERS)), []
    channels = torch.tensor([[0, 1], [1, 3]])[torch.arange(len(CORNERS)) % 2]

    def inside(window: Tensor, position: Tensor) -> Tensor:
        first, last = channels[window].unsqueeze(2).unbind(1)
        return (torch.arange(3) >= first) & (torch.arange(3) < last)

    found = engine.values(images, baselines, CORNERS, check=lambda: checks.append(1))
    torch.testing.assert_close(found, dense(network, images, baselines, CORNERS))
    assert len(checks) == 2 and set(engine._schedules) == {2, 3}
    found = engine.values(images, baselines, CORNERS, inside)
    torch.testing.assert_close(found, dense(network, images, baselines, CORNERS, channels))


def test_leaves_the_network() -> None:
    torch.manual_seed(3)
    network = randomise(Gated()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(2, 3, *SIZE, dtype=torch.float64)
    engine = IncrementalEvaluator(network, images[:1])
    engine.values(images, torch.zeros_like(images[:1]), CORNERS)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert isinstance(network.stem[1], nn.BatchNorm2d) and network.stem[2].inplace


def test_says_where_it_cannot_help() -> None:
    class Branching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)) if images.sum() > 0 else -images.mean((2, 3))

    images = torch.randn(1, 3, *SIZE)
    with pytest.raises(NotLocal):
        IncrementalEvaluator(nn.Sequential(nn.Flatten(), nn.Linear(3 * 33 * 29, 4)), images)
    with pytest.raises(CannotTrace):
        IncrementalEvaluator(Branching(), images)


def test_pays_where_windows_leave_much_of_the_work() -> None:
    torch.manual_seed(5)
    images = torch.randn(1, 3, *SIZE)
    small, whole = torch.tensor([[12, 13, 17, 18]]), torch.tensor([[0, 0, *SIZE]])
    convolutions = IncrementalEvaluator(plain(nn.Conv2d(8, 96, 3), nn.Conv2d(96, 8, 3)).eval(), images)
    assert convolutions.pays(small) and not convolutions.pays(whole)
    patches = nn.Sequential(nn.Conv2d(3, 64, 4, stride=4), nn.Flatten(2), nn.Linear(56, 999), nn.Linear(999, 999))
    assert not IncrementalEvaluator(patches.eval(), images).pays(small)


def test_goes_dense_where_boxes_do_not_pay() -> None:
    torch.manual_seed(4)
    network = randomise(Branches())
    images = torch.randn(1, 3, *SIZE, dtype=torch.float64)
    whole, small = torch.tensor([[0, 0, *SIZE]]), torch.tensor([[16, 14, 17, 15]])
    engine = IncrementalEvaluator(network, images)
    kept = []
    for boxes in (whole, small):
        torch.testing.assert_close(engine.values(images, -images, boxes), dense(network, images, -images, boxes))
        kept.append(len(engine._schedules[len(images)]._steps))
    assert kept[0] < kept[1]
