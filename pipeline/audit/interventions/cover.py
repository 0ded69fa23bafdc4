"""The counter-check of a suspected region: it is covered, equally large ones elsewhere are, and the model is asked."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from pipeline.audit.evidence import Box, Check, Effect, Interval
from pipeline.run.job import Job

RESAMPLES = 2000
_AT_ONCE = 16


def counter_check(job: Job, photographs: Iterable[Image.Image], number: int, box: Box) -> Check | None:
    """Covers a region in images, and others of its size, and compares what the model says of them.

    Args:
        job: Of the run: its model and its preprocessing.
        photographs: As the model sees them, before normalisation.
        number: Class whose output and whose prediction count.
        box: The region.

    Returns:
        None if there is no photograph, or the region leaves no room for others.
    """
    controls = elsewhere(box, job.classifier.preprocessing.crop)
    answers = [_ask(job, pixels, number, [box, *controls]) for pixels in _batches(photographs)]
    if not answers or not controls:
        return None
    right, score = (torch.cat([answer[kind] for answer in answers]).double().numpy() for kind in (0, 1))
    changes = [values[:, 1:] - values[:, :1] for values in (right, score)]  # (n, boxes)
    region, control = ([change[:, part].mean(1) for change in changes] for part in (slice(1), slice(1, None)))
    difference = Effect(*(interval(one - other) for one, other in zip(region, control, strict=True)))
    return Check(
        images=len(right),
        accuracy=float(right[:, 0].mean()),
        region=Effect(*map(interval, region)),
        control=Effect(*map(interval, control)),
        difference=difference,
        elsewhere=controls,
        confirmed=difference.accuracy.high < 0 and difference.score.high < 0,
    )


def elsewhere(box: Box, shape: tuple[int, int]) -> list[Box]:
    """The boxes of the same size in the corners and the middle of the image that do not touch a box."""
    height, width = box[2] - box[0], box[3] - box[1]
    down, right = shape[0] - height, shape[1] - width
    starts = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    boxes = [(top, left, top + height, left + width) for top, left in starts]
    return [other for other in dict.fromkeys(boxes) if not _overlap(box, other)]


def cover(pixels: Tensor, box: Box) -> Tensor:
    """The images (n, 3, H, W) with a box filled by the blur of what is around it, so that nothing of it is left.

    The blur is a Gaussian of half of the box's longer side, over the pixels outside alone.
    """
    top, left, bottom, right = box
    outside = torch.ones(pixels.shape[2:])
    outside[top:bottom, left:right] = 0
    deviation = max(bottom - top, right - left) / 2
    down, along = (_weights(length, deviation) for length in pixels.shape[2:])
    blurred = (down @ (pixels * outside) @ along) / (down @ outside @ along)
    return torch.where(outside.bool(), pixels, blurred)


def interval(values: np.ndarray) -> Interval:
    """Mean of values (n,) with its 95 % bootstrap interval (percentiles; Efron 1979); draws do not depend on others."""
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def _weights(length: int, deviation: float) -> Tensor:
    place = torch.arange(length, dtype=torch.float32)
    return torch.exp(-0.5 * ((place[:, None] - place) / deviation) ** 2)


def _overlap(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _batches(photographs: Iterable[Image.Image]) -> Iterator[Tensor]:
    """Pixels in [0, 1], (n, 3, H, W)."""
    left = iter(photographs)
    while batch := [pil_to_tensor(photograph) for photograph in islice(left, _AT_ONCE)]:
        yield torch.stack(batch) / 255


@torch.no_grad()
def _ask(job: Job, pixels: Tensor, number: int, boxes: Sequence[Box]) -> tuple[Tensor, Tensor]:
    """Whether the class is predicted, and its logit, uncovered and for each covered box: (n, 1 + boxes) each."""
    right, score = [], []
    for shown in (pixels, *(cover(pixels, box) for box in boxes)):
        images = job.classifier.preprocessing.normalize(shown).to(job.device, job.dtype)
        logits = job.classifier.module(images)
        if logits.shape[1] == 1:
            logits = torch.cat([-logits, logits], 1)
        right.append(logits.argmax(1) == number)
        score.append(logits[:, number])
    return torch.stack(right, 1).cpu(), torch.stack(score, 1).cpu()
