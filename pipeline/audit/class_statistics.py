"""Statistics of a class: accuracy and confidence of the model, location and clusters of the maps."""

from dataclasses import dataclass

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.clusters import MIN_IMAGES, Partition, spectral_clustering
from pipeline.audit.evidence import Cluster
from pipeline.audit.findings import ClassFindings
from pipeline.audit.image_table import ImageTable
from pipeline.audit.map_statistics import (
    border_share,
    corner_shares,
    mean_pairwise_overlap,
    nearest_maps,
    normalised_entropy,
)
from pipeline.audit.outliers import outlier_factors
from pipeline.audit.shortcuts import likeliest_shortcut
from pipeline.models.class_names import class_name

EXAMPLES = 12
"""Representative rows of a class or a cluster."""


@dataclass(frozen=True)
class ClassMaps:
    """The maps of a class that have a positive part.

    Attributes:
        positions: Positions of their images, (m,).
        shares: Pooled maps, (m, GRID * GRID), each sums to 1.
        partition: Clusters of their images, None where they are too few.
        factor: Outlier factors, (m,), NaN where they are too few.
    """

    positions: np.ndarray
    shares: np.ndarray
    partition: Partition | None
    factor: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, pooled: np.ndarray, features: np.ndarray | None) -> "ClassMaps":
        """Cluster the images of a class whose pooled map is not empty, by their maps or, if given, features (n, F)."""
        filled = pooled.any(1)
        shares = np.asarray(pooled[filled])
        points = np.sqrt(shares) if features is None else features[filled]
        partition = spectral_clustering(points) if len(shares) >= MIN_IMAGES else None
        return cls(positions[filled], shares, partition, outlier_factors(shares))


def class_findings(
    images: ImageTable, probabilities: ClassProbabilities, number: int, positions: np.ndarray
) -> ClassFindings:
    """Findings of a class from the predictions.

    Args:
        images: All images of the audit.
        probabilities: Of all images.
        number: Class number.
        positions: Positions of the class's images; there may be none.
    """
    labelled, explained = number >= 0 and bool(images.labelled[positions].any()), len(positions) > 0
    return ClassFindings(
        number=number,
        name=class_name(images.source.manifest.class_names, number),
        images=len(positions),
        failures=0,
        accuracy=float(images.correct[positions].mean()) if labelled else None,
        confidence=float(probabilities.predicted[positions].mean()) if explained else None,
        self_confidence=float(probabilities.label[positions].mean()) if labelled else None,
    )


def map_findings(images: ImageTable, maps: ClassMaps, others: np.ndarray, shape: tuple[int, int]) -> dict[str, object]:
    """Fields of :class:`ClassFindings` about the location of a class's maps, of which there is at least one.

    Args:
        images: All images of the audit.
        maps: Maps of the class.
        others: Mean map of the other classes.
        shape: (H, W) of the model's input.
    """
    mean = maps.shares.mean(0)
    return {
        "border": border_share(mean),
        "corner": float(corner_shares(mean).max()),
        "coincidence": mean_pairwise_overlap(maps.shares),
        "entropy": normalised_entropy(mean),
        "shortcut": likeliest_shortcut(maps.shares, others, maps.partition, shape),
        "rows": images.row[maps.positions][nearest_maps(maps.shares, mean, EXAMPLES)].tolist(),
        "eigenvalues": [] if maps.partition is None else maps.partition.eigenvalues.tolist(),
    }


def cluster_findings(images: ImageTable, maps: ClassMaps, first: int) -> tuple[list[Cluster], list[np.ndarray]]:
    """Clusters of a class and their mean maps, the largest first.

    Args:
        images: All images of the audit.
        maps: Maps of the class.
        first: Position of the first mean map among those of all clusters.
    """
    if maps.partition is None:
        return [], []
    parts = [np.flatnonzero(maps.partition.cluster == number) for number in range(maps.partition.cluster.max() + 1)]
    means = [maps.shares[part].mean(0) for part in parts]
    clusters = [
        _cluster(images, maps, part, number=number, mean=mean, position=first + number)
        for number, (part, mean) in enumerate(zip(parts, means, strict=True))
    ]
    return clusters, means


def _cluster(
    images: ImageTable, maps: ClassMaps, part: np.ndarray, *, number: int, mean: np.ndarray, position: int
) -> Cluster:
    assert maps.partition is not None
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
        predicted_name=class_name(images.source.manifest.class_names, commonest),
        apart=float(maps.partition.silhouette[part].mean()),
        border=border_share(mean),
        corner=float(corner_shares(mean).max()),
        rows=images.row[positions][nearest_maps(maps.shares[part], mean, EXAMPLES)].tolist(),
        mean=position,
    )
