"""Interventions on a network that reads one corner of the image, so that their effects are known."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.audit.interventions.cover import control_boxes, cover, intervene
from pipeline.data.preprocessing import Preprocessing
from pipeline.models.classifier import Classifier
from pipeline.run.job import Job

SIDE, CORNER = 48, (36, 36, 48, 48)


class ReadsCorner(nn.Module):
    """Class 1 where the corner is brighter than the rest."""

    def forward(self, images: Tensor) -> Tensor:
        score = 10 * (images[:, 0, 36:, 36:].mean((1, 2)) - images[:, 0].mean((1, 2)))
        return torch.stack([torch.full_like(score, 1.0), score], 1)


@dataclass
class JobParts:
    """The parts of a job that an intervention uses."""

    classifier: Classifier
    device: torch.device
    dtype: torch.dtype = torch.float32


@pytest.fixture
def job() -> Job:
    preprocessing = Preprocessing(None, (SIDE, SIDE), (0.0,) * 3, (1.0,) * 3)
    return cast(
        Job, JobParts(Classifier.wrap(ReadsCorner(), "corner", preprocessing=preprocessing), torch.device("cpu"))
    )


@pytest.fixture
def photographs() -> list[Image.Image]:
    """Dark noise with a bright corner."""
    found = []
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 60, (SIDE, SIDE, 3), np.uint8)
        pixels[36:, 36:] += 150
        found.append(Image.fromarray(pixels))
    return found


def test_what_the_model_reads_is_confirmed(job: Job, photographs: list[Image.Image]) -> None:
    check = intervene(job, photographs, 1, CORNER)
    assert check is not None and check.confirmed
    assert check.images == 12 and check.accuracy == 1
    assert check.region.accuracy.mean == -1 == check.difference.accuracy.high
    assert check.control.accuracy.mean == 0 and abs(check.control.score.mean) < 0.5
    assert check.region.score.low <= check.region.score.mean <= check.region.score.high < -2


def test_what_it_does_not_read_is_not(job: Job, photographs: list[Image.Image]) -> None:
    check = intervene(job, photographs, 1, (0, 0, 12, 12))
    assert check is not None and not check.confirmed
    assert CORNER in check.elsewhere and check.control.accuracy.mean < 0 == check.region.accuracy.mean


def test_no_check_without_photographs_or_room(job: Job, photographs: list[Image.Image]) -> None:
    assert intervene(job, [], 1, CORNER) is None
    assert intervene(job, photographs, 1, (4, 4, 44, 44)) is None


def test_covering_changes_the_box_alone() -> None:
    pixels = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    covered, (top, left, bottom, right) = cover(pixels, CORNER), CORNER
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    outside[top:bottom, left:right] = False
    assert torch.equal(covered[:, :, outside], pixels[:, :, outside])
    assert covered[:, :, ~outside].std() < 0.25 * pixels[:, :, ~outside].std()
    pixels[:, :, ~outside] = 9
    assert torch.equal(cover(pixels, CORNER), covered)  # nothing of what was there


def test_controls_are_as_large_and_apart() -> None:
    for box in (CORNER, (10, 0, 30, 12), (20, 20, 28, 28)):
        boxes = control_boxes(box, (SIDE, SIDE))
        assert boxes
        for top, left, bottom, right in boxes:
            assert (bottom - top, right - left) == (box[2] - box[0], box[3] - box[1])
            assert min(top, left) >= 0 and max(bottom, right) <= SIDE
            assert bottom <= box[0] or box[2] <= top or right <= box[1] or box[3] <= left
