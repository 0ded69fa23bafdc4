"""A schedule fills its tables once for an image, in chunks that change nothing."""

import pytest
import torch
from torch import Tensor

from pipeline.engine.incremental.schedule import HEAD_BATCH, TAIL_BATCH, Schedule
from pipeline.engine.incremental.step_graph import StepGraph
from pipeline.engine.network.prepare import prepare
from tests.networks import images, residual, small_vgg

BOXES = torch.tensor([[0, 0, 7, 7], [5, 9, 12, 16], [20, 20, 32, 32], [13, 2, 14, 3], [8, 8, 24, 24]])
CPU = torch.device("cpu")


def schedule(images_at_once: int, size: int) -> Schedule:
    graph = StepGraph.of(prepare(residual().double()), images(1, 32, 32))
    return Schedule(graph, BOXES, images=images_at_once, internal_batch_size=size, device=CPU)


def dense(x: Tensor, baseline: Tensor) -> Tensor:
    """(N * G, K)."""
    rows = []
    for image, other in zip(x, baseline, strict=True):
        for top, left, bottom, right in BOXES.tolist():
            occluded = image.clone()
            occluded[:, top:bottom, left:right] = other[:, top:bottom, left:right]
            rows.append(occluded)
    return residual().double()(torch.stack(rows)).detach()


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_any_chunk_and_image_after_image(size: int) -> None:
    one, (x, baseline) = schedule(1, size), images(4, 32, 32).split(2)
    with torch.inference_mode():
        for i in (0, 1, 0):
            found = one.run(x[i : i + 1], baseline[i : i + 1], None)
            torch.testing.assert_close(found, dense(x[i : i + 1], baseline[i : i + 1]), rtol=1e-10, atol=1e-12)


def test_several_images_at_once() -> None:
    several, (x, baseline) = schedule(2, 5), images(4, 32, 32).split(2)
    with torch.inference_mode():
        torch.testing.assert_close(several.run(x, baseline, None), dense(x, baseline), rtol=1e-10, atol=1e-12)


def test_windows_replace_only_the_channels_that_they_are_told() -> None:
    one, (x, baseline) = schedule(1, 3), images(2, 32, 32).split(1)
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    with torch.inference_mode():
        found = one.run(x, baseline, lambda window, position: nothing.expand(len(window), 3))
    torch.testing.assert_close(found, residual().double()(x).detach().expand_as(found), rtol=1e-10, atol=1e-12)


def test_the_tail_takes_more_windows_where_it_has_no_convolutions() -> None:
    graph = StepGraph.of(prepare(small_vgg()), images(1, 32, 32, torch.float32))
    small, whole = (
        Schedule(graph, torch.tensor([box]), images=1, internal_batch_size=5, device=CPU)
        for box in ([10, 10, 12, 12], [0, 0, 32, 32])
    )
    assert len(small._steps) == 6 and small._tail_batch == HEAD_BATCH and small.saved > 0
    assert not whole._steps and whole._tail_batch == TAIL_BATCH and whole.saved <= 0
