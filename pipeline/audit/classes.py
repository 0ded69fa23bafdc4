"""The numbers of each class: how often the model is right, how sure it is, and where its maps lie."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.audit.confidence import Confidence
from pipeline.audit.findings import ClassFindings
from pipeline.audit.images import Images
from pipeline.audit.measures import border, coincidence, corners, entropy, nearest
from pipeline.report.summary import class_name

EXAMPLES = 12


@dataclass(frozen=True)
class Means:
    """Mean and variance of the maps of classes, each (GRID * GRID,), in the order in which they were added."""

    mean: list[np.ndarray] = field(default_factory=list)
    variance: list[np.ndarray] = field(default_factory=list)

    def add(self, maps: np.ndarray) -> int:
        """Adds a class's maps (n, GRID * GRID); returns its position."""
        self.mean.append(maps.mean(0, dtype=np.float64))
        self.variance.append(maps.var(0, dtype=np.float64))
        return len(self.mean) - 1


def describe(images: Images, confidence: Confidence, number: int, positions: np.ndarray) -> ClassFindings:
    """A class by what the model says of its images.

    Args:
        images: Of the audit.
        confidence: Of all of them.
        number: Of the class.
        positions: Of its images among them; there may be none.
    """
    labelled, any_ = number >= 0 and bool(images.labelled[positions].any()), len(positions) > 0
    return ClassFindings(
        number=number,
        name=class_name(images.source.manifest, number),
        images=len(positions),
        failures=0,
        accuracy=float(images.correct[positions].mean()) if labelled else None,
        confidence=float(confidence.predicted[positions].mean()) if any_ else None,
        self_confidence=float(confidence.label[positions].mean()) if labelled else None,
    )


def places(maps: np.ndarray, rows: np.ndarray, means: Means) -> dict[str, Any]:
    """The fields of a class that are about where its maps lie.

    Args:
        maps: Pooled, (m, GRID * GRID), those without a positive part among them.
        rows: Of the run, (m,).
        means: To which mean and variance are added.
    """
    filled = maps.any(1)
    if not filled.any():
        return {"zero_maps": len(maps)}
    mean = maps[filled].mean(0)
    return {
        "border": border(mean),
        "corner": float(corners(mean).max()),
        "coincidence": coincidence(maps[filled]),
        "entropy": entropy(mean),
        "zero_maps": int((~filled).sum()),
        "mean": means.add(maps[filled]),
        "rows": rows[filled][nearest(maps[filled], mean, EXAMPLES)].tolist(),
    }
