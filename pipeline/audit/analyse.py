"""Analysis of a run's stored maps and predictions, without a forward pass of the model."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.class_statistics import ClassMaps, class_findings, cluster_findings, map_findings
from pipeline.audit.confusions import confusions
from pipeline.audit.faithfulness import MAX_RELATIVE_DELTA, relative_delta, unfaithful_images
from pipeline.audit.feature_vectors import unit_features
from pipeline.audit.findings import Arrays, Audit, ClassFindings
from pipeline.audit.image_findings import Outlier
from pipeline.audit.image_table import ImageTable
from pipeline.audit.label_issues import label_issues, suggested_labels
from pipeline.audit.outliers import MIN_OUTLIER_FACTOR
from pipeline.audit.pooled_maps import GRID, class_means, mean_of_others, pooled_maps
from pipeline.audit.run_totals import run_facts, run_totals
from pipeline.audit.similar_classes import similar_classes
from pipeline.audit.suspects import rank_suspects
from pipeline.engine.geometry import NotSpatial
from pipeline.store.shard_reader import ShardReader
from pipeline.store.shard_summary import ShardTotals, sum_summaries

MAX_LISTED = 1000
"""Entries of each list at most; the totals count all."""


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of each image, (n, ...); those of the maps are filled in class by class.

    Attributes:
        probabilities: By the model.
        suggested: Class by confident learning, -1 where the label is not in doubt.
        relative: Relative convergence delta, NaN without.
        factor: Outlier factor of the map, NaN without.
        cluster: Number of the cluster in the class, -1 without.
        embedding: Spectral coordinates, (n, 2), NaN without.
    """

    probabilities: ClassProbabilities
    suggested: np.ndarray
    relative: np.ndarray
    factor: np.ndarray
    cluster: np.ndarray
    embedding: np.ndarray

    @classmethod
    def of(cls, images: ImageTable) -> "ImageStatistics":
        """Statistics of the predictions; those of the maps are unknown yet."""
        probabilities = ClassProbabilities.read(images)
        unknown = np.full((3, len(images)), np.nan, np.float32)
        return cls(
            probabilities,
            suggested_labels(images, probabilities),
            relative_delta(images),
            factor=unknown[0],
            cluster=np.full(len(images), -1, np.int32),
            embedding=unknown[1:].T,
        )

    def add_maps(self, maps: ClassMaps) -> None:
        """Fill in the statistics of a class's maps."""
        self.factor[maps.positions] = maps.factor
        if maps.partition is not None:
            self.cluster[maps.positions] = maps.partition.cluster
            self.embedding[maps.positions] = maps.partition.embedding

    def counts(self, positions: np.ndarray) -> dict[str, Any]:
        """Fields of a class that count its images."""
        return {
            "doubted": int((self.suggested[positions] >= 0).sum()),
            "outliers": int((self.factor[positions] >= MIN_OUTLIER_FACTOR).sum()),
            "unfaithful": int((self.relative[positions] > MAX_RELATIVE_DELTA).sum()),
        }


@dataclass(frozen=True)
class MeanMaps:
    """Mean maps and variances of the classes that have maps, and mean maps of clusters, (GRID * GRID,) each."""

    mean: list[np.ndarray] = field(default_factory=list)
    variance: list[np.ndarray] = field(default_factory=list)
    cluster: list[np.ndarray] = field(default_factory=list)


def analyse(source: ShardReader, *, by_features: bool = False) -> Audit:
    """Audit the published explanations of a run; memory holds the maps of one class at a time.

    Args:
        source: Its shards.
        by_features: True clusters the stored features instead of the maps.

    Raises:
        StoreError: Nothing is published yet, or the store is damaged.
        UsageError: The run has no features.
    """
    images = ImageTable.read(source)
    statistics, means, maps = ImageStatistics.of(images), MeanMaps(), _pooled(images)
    points = unit_features(images) if by_features else None
    sums = sum_summaries(source.ledger.summary(shard) for shard in source.shards)
    by_number = _classes(images, statistics, sums, means=means, maps=maps, points=points)
    classes = rank_suspects(by_number)
    return Audit(
        run=run_facts(images, sums, located=maps is not None, clusters="features" if by_features else "maps"),
        totals=run_totals(images, statistics.relative, classes),
        classes=classes,
        doubts=label_issues(images, statistics.probabilities, statistics.suggested, MAX_LISTED),
        outliers=_outliers(images, statistics),
        unfaithful=unfaithful_images(images, statistics.relative, MAX_LISTED),
        confusions=confusions(images, statistics.probabilities, MAX_LISTED),
        alike=similar_classes(by_number, np.array(means.mean), MAX_LISTED),
        comparison=None,
        arrays=_arrays(images, statistics, means),
    )


def _pooled(images: ImageTable) -> np.ndarray | None:
    try:
        return pooled_maps(images)
    except NotSpatial:
        return None


def _classes(
    images: ImageTable,
    statistics: ImageStatistics,
    sums: ShardTotals,
    *,
    means: MeanMaps,
    maps: np.ndarray | None,
    points: np.ndarray | None,
) -> list[ClassFindings]:
    """Findings of all classes by number; fills in the statistics and the means."""
    failures = {label: counts.failures for label, counts in sums.classes.items()}
    groups = dict(images.groups())
    mean_of = {} if maps is None else class_means(groups, maps)
    height, width = images.source.manifest.preprocessing["crop"]
    classes = []
    for number in sorted({*groups, *(label for label, count in failures.items() if count)}):
        positions = groups.get(number, np.empty(0, np.int64))
        fields: dict[str, Any] = {"failures": failures.get(number, 0)}
        if maps is not None:
            own = ClassMaps.of(positions, maps[positions], None if points is None else points[positions])
            fields["zero_maps"] = len(positions) - len(own.positions)
            if len(own.positions):
                fields |= map_findings(images, own, mean_of_others(mean_of, number), (height, width))
                fields["clusters"], cluster_means = cluster_findings(images, own, len(means.cluster))
                fields["mean"] = len(means.mean)
                means.mean.append(own.shares.mean(0))
                means.variance.append(own.shares.var(0))
                means.cluster.extend(cluster_means)
                statistics.add_maps(own)
        fields |= statistics.counts(positions)
        classes.append(replace(class_findings(images, statistics.probabilities, number, positions), **fields))
    return classes


def _outliers(images: ImageTable, statistics: ImageStatistics) -> list[Outlier]:
    order = np.argsort(-statistics.factor, kind="stable")  # NaN is last
    paths, index = images.source.manifest.paths, images.columns["index"]
    return [
        Outlier(
            row=int(images.row[position]),
            path=os.fsdecode(paths[int(index[position])]),
            number=int(images.group[position]),
            factor=float(statistics.factor[position]),
        )
        for position in order[: int(np.sum(statistics.factor >= MIN_OUTLIER_FACTOR))][:MAX_LISTED].tolist()
    ]


def _arrays(images: ImageTable, statistics: ImageStatistics, means: MeanMaps) -> Arrays:
    def grids(maps: list[np.ndarray]) -> np.ndarray:
        return np.array(maps, np.float32).reshape(-1, GRID, GRID)

    return Arrays(
        mean=grids(means.mean),
        variance=grids(means.variance),
        cluster_mean=grids(means.cluster),
        row=images.row,
        group=images.group,
        cluster=statistics.cluster,
        embedding=statistics.embedding,
        self_confidence=statistics.probabilities.label.astype(np.float32),
        margin=statistics.probabilities.margin.astype(np.float32),
    )
