"""Intervention on a suspected region: effect of covering it, compared with control regions of the same size."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from pipeline.audit.evidence import Box, Effect, InterventionResult
from pipeline.metrics.bootstrap import bootstrap_intervals
from pipeline.run.job import Job

RESAMPLES = 2000
"""Of the bootstrap."""
_BATCH_SIZE = 16


def intervene(job: Job, photographs: Iterable[Image.Image], number: int, box: Box) -> InterventionResult | None:
    """Cover a region and control regions in images, and compare the effects on the model's output.

    Args:
        job: Job of the run: its model and preprocessing.
        photographs: Model inputs before normalisation.
        number: Class whose logit and predictions are compared.
        box: The region.

    Returns:
        The result; None if there is no photograph, or the region leaves no room for control regions.
    """
    controls = control_boxes(box, job.classifier.preprocessing.crop)
    outputs = [_evaluate(job, pixels, number, [box, *controls]) for pixels in _batches(photographs)]
    if not outputs or not controls:
        return None
    right, score = (torch.cat([output[kind] for output in outputs]).double().numpy() for kind in (0, 1))
    changes = [values[:, 1:] - values[:, :1] for values in (right, score)]  # (n, boxes)
    region, control = (np.stack([change[:, part].mean(1) for change in changes]) for part in (slice(1), slice(1, None)))
    of_region, of_control, difference = (effect(rows) for rows in (region, control, region - control))
    return InterventionResult(
        images=len(right),
        accuracy=float(right[:, 0].mean()),
        region=of_region,
        control=of_control,
        difference=difference,
        elsewhere=controls,
        confirmed=difference.accuracy.high < 0 and difference.score.high < 0,
    )


def control_boxes(box: Box, shape: tuple[int, int]) -> list[Box]:
    """Control regions: boxes of the same size in the corners and the middle of the image that do not overlap a box."""
    height, width = box[2] - box[0], box[3] - box[1]
    down, right = shape[0] - height, shape[1] - width
    starts = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    boxes = [(top, left, top + height, left + width) for top, left in starts]
    return [other for other in dict.fromkeys(boxes) if not _overlap(box, other)]


def cover(pixels: Tensor, box: Box) -> Tensor:
    """Fill a box of images (n, 3, H, W) with a blur of the pixels outside it.

    The Gaussian has a standard deviation of half of the box's longer side; no pixel inside the box enters it.
    """
    top, left, bottom, right = box
    outside = torch.ones(pixels.shape[2:])
    outside[top:bottom, left:right] = 0
    deviation = max(bottom - top, right - left) / 2
    down, along = (_gaussian_matrix(length, deviation) for length in pixels.shape[2:])
    # normalised convolution: the mean over the pixels outside, weighted by the Gaussian
    blurred = (down @ (pixels * outside) @ along) / (down @ outside @ along)
    return torch.where(outside.bool(), pixels, blurred)


def effect(changes: np.ndarray) -> Effect:
    """Mean change of accuracy and score (2, n) with bootstrap intervals; every effect of a class has the same draws."""
    accuracy, score = bootstrap_intervals(changes, resamples=RESAMPLES, seed=0)
    assert accuracy is not None and score is not None  # every change is a number
    return Effect(accuracy, score)


def _gaussian_matrix(length: int, deviation: float) -> Tensor:
    """Weight of each pixel along an axis for each other, (length, length)."""
    position = torch.arange(length, dtype=torch.float32)
    return torch.exp(-0.5 * ((position[:, None] - position) / deviation) ** 2)


def _overlap(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _batches(photographs: Iterable[Image.Image]) -> Iterator[Tensor]:
    """Pixels in [0, 1], (n, 3, H, W)."""
    remaining = iter(photographs)
    while batch := [pil_to_tensor(photograph) for photograph in islice(remaining, _BATCH_SIZE)]:
        yield torch.stack(batch) / 255


@torch.no_grad()
def _evaluate(job: Job, pixels: Tensor, number: int, boxes: Sequence[Box]) -> tuple[Tensor, Tensor]:
    """Predictions (bool) and logits of the class, uncovered and with each box covered, (n, 1 + boxes) each."""
    space, right, score = job.classifier.output_space, [], []
    for shown in (pixels, *(cover(pixels, box) for box in boxes)):
        images = job.classifier.preprocessing.normalize(shown).to(job.device, job.dtype)
        logits = job.classifier.module(images)
        right.append(space.predictions(logits) == number)
        score.append(space.class_logits(logits)[:, number])
    return torch.stack(right, 1).cpu(), torch.stack(score, 1).cpu()
