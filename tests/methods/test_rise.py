"""RISE: a replica by loops, and maps that depend on the image and its seed alone."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import Rise
from pipeline.methods.method import image_seeds
from pipeline.methods.random_masks import draw_cells, masks_from_cells
from tests.networks import Recording, images, small_vgg

SIZE = (40, 56)


def near(found: Tensor, expected: Tensor, share: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=share * expected.abs().max().item())


@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("baselines", [0, "blur"])
def test_replica(baselines: str | int, subtract_mean: bool) -> None:
    network, x, targets = small_vgg().double(), images(2, *SIZE), torch.tensor([[1, 4], [7, 2]])
    options = {"subtract_mean": subtract_mean, "baselines": baselines}
    method = Rise(network, n_masks=9, grid=4, p1=0.3, internal_batch_size=5, **options)
    seeds = image_seeds(0, [0, 1])
    attribution = method.explain(x, targets, scores=torch.zeros(2, 2), seeds=seeds)
    absent = method.baselines(x, seeds).expand_as(x)
    for i in range(2):
        cells, shifts = draw_cells(9, 4, 0.3, SIZE, seed=int(seeds[i]))
        masks = masks_from_cells(cells.double(), shifts, SIZE)
        for t in range(2):
            with torch.no_grad():
                outputs = [
                    network((absent[i] + mask * (x[i] - absent[i]))[None])[0, targets[i, t]].item() for mask in masks
                ]
            level = sum(outputs) / 9 if subtract_mean else 0.0
            expected = sum((output - level) * mask for output, mask in zip(outputs, masks, strict=True))
            near(attribution.maps[i, t], expected / 9 / 0.3)
    with torch.no_grad():
        near(attribution.baseline_score, network(absent).gather(1, targets))
    assert attribution.evaluations == 9 + 1


def test_all_targets_share_the_forward_passes() -> None:
    network, x = Recording(small_vgg()), images(2, *SIZE, torch.float32)
    method = Rise(network, n_masks=6, grid=4, internal_batch_size=4)
    method.explain(x, torch.tensor([[1, 4, 5], [7, 2, 0]]), scores=torch.zeros(2, 3), seeds=image_seeds(0, [0, 1]))
    assert network.passes == [4, 4, 4, 1]  # masked images, then the baseline


def test_maps_depend_on_the_image_and_its_seed_alone() -> None:
    network, x, targets = small_vgg().double(), images(3, *SIZE), torch.tensor([[1], [7], [3]])
    seeds, order = image_seeds(5, [0, 1, 2]), torch.tensor([2, 0])
    method = Rise(network, n_masks=11, grid=4, internal_batch_size=7)
    whole = method.explain(x, targets, scores=torch.zeros(3, 1), seeds=seeds).maps
    other = Rise(network, n_masks=11, grid=4, internal_batch_size=3)
    part = other.explain(x[order], targets[order], scores=torch.zeros(2, 1), seeds=seeds[order]).maps
    near(part, whole[order])
    reseeded = method.explain(x, targets, scores=torch.zeros(3, 1), seeds=image_seeds(6, [0, 1, 2])).maps
    assert (reseeded - whole).abs().max() > 0.01 * whole.abs().max()


class Corner(nn.Module):
    def forward(self, points: Tensor) -> Tensor:
        return points[:, :, :8, :8].mean((1, 2, 3))[:, None]


def test_a_known_answer() -> None:
    """Pixels that the network reads stand out; others get the mean output under the masks, p1, or 0."""
    map = Rise(Corner(), n_masks=4000)(torch.ones(1, 3, 64, 64))[0, 0]
    paper = Rise(Corner(), n_masks=4000, subtract_mean=False)(torch.ones(1, 3, 64, 64))[0, 0]
    far = map[32:, 32:]
    assert abs(paper[32:, 32:].mean() - 0.5) < 0.02 and abs(far.mean()) < 0.01
    assert map[:8, :8].min() > far.mean() + 5 * far.std()


def test_with_every_cell_open_it_is_the_score() -> None:
    network, x = small_vgg().double(), images(1, *SIZE)
    map = Rise(network, n_masks=3, p1=1.0, subtract_mean=False)(x, 4)
    with torch.no_grad():
        near(map, network(x)[0, 4].expand(1, 1, *SIZE))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_masks": 0}, "n_masks must be a whole number from 1"),
        ({"grid": 2.5}, "grid must be a whole number from 1"),
        ({"p1": 0}, "p1 must be above 0 and at most 1"),
        ({"grid": 60}, "grid: 60 cells do not fit images of 40 x 56 pixels"),
    ],
)
def test_options_out_of_range(options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rise(small_vgg(), **options).geometry((3, *SIZE))
