"""Occlusion: a replica by loops, and properties for any window."""

import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import Occlusion
from pipeline.methods.method import Attribution, image_seeds
from pipeline.view import View
from tests.networks import Perceptron, Recording, images, small_vgg

SHAPE = (3, 8, 16)
WINDOWS = [  # window, strides
    ((3, 4, 4), (3, 4, 4)),  # tiles
    ((3, 3, 5), (3, 2, 3)),  # overlaps, and the last is cropped
    ((1, 8, 16), (1, 1, 1)),  # a channel
    ((2, 5, 7), (1, 5, 4)),
    ((3, 8, 16), (3, 8, 16)),  # everything
    ((1, 1, 9), 1),
    ((3, 8, 5), None),
]


def explain(method: Occlusion, batch: Tensor, targets: Tensor) -> Attribution:
    scores = method.view.outputs(method.logits(batch)).gather(1, targets)
    return method.explain(batch, targets, scores=scores, seeds=image_seeds(0, range(len(batch))))


def replica(network: nn.Module, image: Tensor, baseline: Tensor, target: int, window: tuple, strides: tuple) -> Tensor:
    """Window by window, value by value: the mean drop of the windows that cover a value."""
    drops, covering = torch.zeros_like(image), torch.zeros_like(image)
    score = network(image[None])[0, target]
    counts = [math.ceil((image.shape[axis] - window[axis]) / strides[axis]) + 1 for axis in range(3)]
    for i in range(counts[0]):
        for j in range(counts[1]):
            for k in range(counts[2]):
                start = [number * stride for number, stride in zip((i, j, k), strides, strict=True)]
                occluded, covered = image.clone(), []
                for c in range(start[0], min(start[0] + window[0], image.shape[0])):
                    for h in range(start[1], min(start[1] + window[1], image.shape[1])):
                        for w in range(start[2], min(start[2] + window[2], image.shape[2])):
                            occluded[c, h, w] = baseline[c, h, w]
                            covered.append((c, h, w))
                drop = score - network(occluded[None])[0, target]
                for place in covered:
                    drops[place] += drop
                    covering[place] += 1
    return (drops / covering).detach()


@pytest.mark.parametrize(("window", "strides"), WINDOWS)
def test_replica(window: tuple, strides: tuple | int | None) -> None:
    network, batch, baselines = Perceptron(SHAPE), images(2, *SHAPE[1:]), images(3, *SHAPE[1:])[1:]
    maps = Occlusion(network, sliding_window_shapes=window, strides=strides, baselines=baselines)(batch, [2, 0])
    three = strides if isinstance(strides, tuple) else (1, 1, 1)
    for image, baseline, target, map_ in zip(batch, baselines, [2, 0], maps, strict=True):
        expected = replica(network, image, baseline, target, window, three)
        torch.testing.assert_close(map_, expected, rtol=1e-12, atol=1e-12 * expected.abs().max().item())


def test_windows_that_tile_share_out_the_drops_of_a_linear_network() -> None:
    """With F linear, each value's drop is its own share, so that the grid sums to F(x) - F(b)."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 3)).double()
    batch, targets = images(2, *SHAPE[1:]), torch.tensor([[2], [0]])
    method = Occlusion(linear, sliding_window_shapes=(3, 4, 4), strides=(3, 4, 4), baselines=0.5)
    attribution = explain(method, batch, targets)
    assert attribution.maps.shape == (2, 1, 1, 2, 4)
    with torch.no_grad():
        baseline_scores = linear(torch.full_like(batch[:1], 0.5)).expand(2, -1).gather(1, targets)
        expected = linear(batch).gather(1, targets) - baseline_scores
    torch.testing.assert_close(attribution.maps.sum((2, 3, 4)), expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(attribution.baseline_score, baseline_scores)
    assert attribution.convergence_delta.isnan().all()
    assert attribution.evaluations == 8 + 2


def test_linearity() -> None:
    network, batch, mixed = small_vgg().double(), images(3, 40, 56), nn.Linear(10, 1, bias=False).double()
    with torch.no_grad():
        mixed.weight.zero_()[0, [3, 7]] = torch.tensor([2.0, -0.5]).double()
    window = {"sliding_window_shapes": (3, 15, 15), "strides": (3, 8, 8)}
    first, second = (Occlusion(network, **window)(batch, target) for target in (3, 7))
    maps = Occlusion(nn.Sequential(network, mixed), **window)(batch)
    torch.testing.assert_close(maps, 2 * first - 0.5 * second, rtol=1e-9, atol=1e-14)


def test_an_image_at_its_baseline_has_a_zero_map() -> None:
    batch = images(2, 40, 56)
    method = Occlusion(small_vgg().double(), sliding_window_shapes=(3, 9, 9), strides=(3, 9, 9), baselines=batch)
    assert method(batch, 0).abs().max() < 1e-15


def test_a_probability_drops_by_the_share_of_the_window() -> None:
    """F = sigmoid of the image's sum: the map is written down at once."""
    total = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 1, bias=False)).double()
    nn.init.ones_(total[1].weight)
    batch = images(2, *SHAPE[1:]) / 100
    maps = Occlusion(View(total, output="probability"), sliding_window_shapes=SHAPE, strides=SHAPE)(batch)
    expected = batch.sum((1, 2, 3)).sigmoid() - 0.5
    torch.testing.assert_close(maps, expected[:, None, None, None].expand_as(batch), rtol=1e-12, atol=1e-15)


def test_passes_and_targets_that_share_them() -> None:
    network, batch = Recording(Perceptron(SHAPE)), images(3, *SHAPE[1:])
    window = {"sliding_window_shapes": (3, 4, 4), "strides": (3, 4, 4)}
    method, targets = Occlusion(network, internal_batch_size=10, **window), torch.tensor([[0, 2], [1, 0], [2, 2]])
    both = explain(method, batch, targets)
    assert network.passes == [3, 1, 10, 10, 4]  # 3 images x 8 windows
    for column in range(2):
        one = explain(method, batch, targets[:, [column]])
        torch.testing.assert_close(both.maps[:, [column]], one.maps, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(both.baseline_score[:, [column]], one.baseline_score, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sliding_window_shapes": (15, 15)}, "sliding_window_shapes"),
        ({"sliding_window_shapes": (3, 0, 15)}, "sliding_window_shapes"),
        ({"sliding_window_shapes": (3, 1.5, 15)}, "sliding_window_shapes"),
        ({"sliding_window_shapes": (3, 4, 4), "strides": 0}, "strides"),
        ({"sliding_window_shapes": (3, 4, 4), "strides": (3, 4)}, "strides"),
        ({"sliding_window_shapes": (3, 4, 4), "strides": (3, -4, 4)}, "strides"),
        ({"sliding_window_shapes": (3, 4, 4), "baselines": "grey"}, "baselines"),
    ],
)
def test_wrong_options(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Occlusion(small_vgg(), **options)


@pytest.mark.parametrize(
    ("window", "strides", "words"),
    [
        ((3, 41, 9), 1, "sliding_window_shapes: 41 along H .* 40"),
        ((4, 9, 9), 1, "sliding_window_shapes: 4 along C"),
        ((3, 9, 9), (3, 9, 10), "strides: 10 along W .* 9"),
    ],
)
def test_windows_that_do_not_fit_the_images(window: tuple, strides: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Occlusion(small_vgg(), sliding_window_shapes=window, strides=strides)(images(1, 40, 56, torch.float32), 0)
