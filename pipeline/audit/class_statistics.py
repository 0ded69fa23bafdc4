"""A class: how often the model is right, how sure it is, where its maps lie, and what they look like in clusters."""

from dataclasses import dataclass

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.clusters import FEWEST, Partition, partition
from pipeline.audit.evidence import Cluster
from pipeline.audit.findings import ClassFindings
from pipeline.audit.image_table import Images
from pipeline.audit.map_statistics import border, coincidence, corners, entropy, nearest
from pipeline.audit.outliers import factors
from pipeline.audit.shortcuts import shortcut
from pipeline.report.run_summary import class_name

EXAMPLES = 12
"""Rows that stand for a class or a cluster."""


@dataclass(frozen=True)
class Maps:
    """The maps of a class that have a positive part.

    Attributes:
        positions: Of their images, (m,).
        shares: Pooled, (m, GRID * GRID), each sums to 1.
        parted: The clusters of their images, None where they are too few.
        factor: Their outlier factors, (m,), NaN where they are too few.
    """

    positions: np.ndarray
    shares: np.ndarray
    parted: Partition | None
    factor: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, pooled: np.ndarray, features: np.ndarray | None) -> "Maps":
        """Parts the images of a class, by their maps, the empty ones among them, or by features (n, F) if given."""
        filled = pooled.any(1)
        shares = np.asarray(pooled[filled])
        points = np.sqrt(shares) if features is None else features[filled]
        parted = partition(points) if len(shares) >= FEWEST else None
        return cls(positions[filled], shares, parted, factors(shares))


def describe(images: Images, confidence: ClassProbabilities, number: int, positions: np.ndarray) -> ClassFindings:
    """A class by what the model says of its images.

    Args:
        images: Of the audit.
        confidence: Of all of them.
        number: Of the class.
        positions: Of its images among them; there may be none.
    """
    labelled, explained = number >= 0 and bool(images.labelled[positions].any()), len(positions) > 0
    return ClassFindings(
        number=number,
        name=class_name(images.source.manifest, number),
        images=len(positions),
        failures=0,
        accuracy=float(images.correct[positions].mean()) if labelled else None,
        confidence=float(confidence.predicted[positions].mean()) if explained else None,
        self_confidence=float(confidence.label[positions].mean()) if labelled else None,
    )


def places(images: Images, maps: Maps, others: np.ndarray, shape: tuple[int, int]) -> dict[str, object]:
    """The fields of a class that are about where its maps lie; there is one map at least.

    Args:
        images: Of the audit.
        maps: Of the class.
        others: Mean map of the other classes.
        shape: (H, W) of the model's input.
    """
    mean = maps.shares.mean(0)
    return {
        "border": border(mean),
        "corner": float(corners(mean).max()),
        "coincidence": coincidence(maps.shares),
        "entropy": entropy(mean),
        "shortcut": shortcut(maps.shares, others, maps.parted, shape),
        "rows": images.row[maps.positions][nearest(maps.shares, mean, EXAMPLES)].tolist(),
        "eigenvalues": [] if maps.parted is None else maps.parted.eigenvalues.tolist(),
    }


def clusters(images: Images, maps: Maps, first: int) -> tuple[list[Cluster], list[np.ndarray]]:
    """The clusters of a class and their mean maps, the largest first.

    Args:
        images: Of the audit.
        maps: Of the class.
        first: Position of the first mean map among all clusters'.
    """
    if maps.parted is None:
        return [], []
    parts = [np.flatnonzero(maps.parted.cluster == number) for number in range(maps.parted.cluster.max() + 1)]
    means = [maps.shares[part].mean(0) for part in parts]
    found = [
        _cluster(images, maps, part, number=number, mean=mean, place=first + number)
        for number, (part, mean) in enumerate(zip(parts, means, strict=True))
    ]
    return found, means


def _cluster(images: Images, maps: Maps, part: np.ndarray, *, number: int, mean: np.ndarray, place: int) -> Cluster:
    assert maps.parted is not None
    positions = maps.positions[part]
    predictions, counts = np.unique(images.columns["predicted"][positions], return_counts=True)
    commonest = int(predictions[counts.argmax()])
    return Cluster(
        number=number,
        images=len(part),
        share=len(part) / len(maps.positions),
        accuracy=float(images.correct[positions].mean()) if images.labelled[positions].any() else None,
        purity=float(counts.max() / len(part)),
        predicted=commonest,
        predicted_name=class_name(images.source.manifest, commonest),
        apart=float(maps.parted.silhouette[part].mean()),
        border=border(mean),
        corner=float(corners(mean).max()),
        rows=images.row[positions][nearest(maps.shares[part], mean, EXAMPLES)].tolist(),
        mean=place,
    )
