"""Arrays of a run's explanations as arguments of the metrics of Quantus."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from pipeline.data.decode import UnreadableImage
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.store.explanation import Explanation
from pipeline.store.reader import Run


class QuantusArrays(NamedTuple):
    """Arguments of a metric of Quantus, besides the model.

    Attributes:
        x_batch: Input images of the model, normalised, float32 (n, 3, H, W).
        y_batch: Classes explained, int64 (n,).
        a_batch: Maps, float32 (n, 3 or 1, H, W).
    """

    x_batch: np.ndarray
    y_batch: np.ndarray
    a_batch: np.ndarray


def quantus_arrays(run: Run, rows: Iterable[int] | None = None) -> QuantusArrays:
    """Loads explanations and their images into memory: ``metric(model=model, **arrays._asdict())``.

    Args:
        run: All or some of the published explanations.
        rows: Numbers of the explanations, in any order; all by default.

    Raises:
        UsageError: No explanation is selected, a photograph cannot be read, or a hidden neuron is explained, for which
            Quantus has no metric.
        NotSpatial: The maps are of a layer without positions in the image.
    """
    chosen = list(run) if rows is None else [run[row] for row in rows]
    if not chosen:
        raise UsageError("there is no explanation to export")
    targets = np.array([explanation.target for explanation in chosen], np.int64)
    if targets.min() < 0:
        raise UsageError("a hidden neuron is explained, and Quantus' metrics need a class")
    normalize = Preprocessing.from_json(run.manifest.preprocessing).normalize
    pixels = torch.from_numpy(np.stack([_pixels(explanation) for explanation in chosen])).float()
    maps = np.stack([explanation.map for explanation in chosen])
    return QuantusArrays(normalize(pixels / 255).numpy(), targets, maps)


def _pixels(explanation: Explanation) -> np.ndarray:
    """Uint8 (3, H, W)."""
    try:
        return np.moveaxis(np.asarray(explanation.photograph()), 2, 0)
    except UnreadableImage as reason:
        raise UsageError(f"{explanation.path} cannot be read: {reason}") from reason
