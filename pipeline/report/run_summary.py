"""A run in numbers: counts, accuracy, confidence and quantiles of the whole run and of each class."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from pipeline.models.class_names import class_name
from pipeline.store.quantile_sketch import Sketch
from pipeline.store.shard_reader import ShardReader
from pipeline.store.shard_summary import ClassTotals, ShardTotals

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class ClassSummary:
    """The numbers of a class, or of the whole run.

    Attributes:
        name: Of the class.
        label: Its number; -1 for images without a label, None for the whole run.
        n: Images explained.
        accuracy: Share of them that the model predicts as labelled, None without labels.
        confidence: Mean probability of the predicted class.
        delta_5: 5 % quantile of the convergence deltas' magnitudes, to 1 % of it, None where the method has none.
        delta_50: Their median.
        delta_95: Their 95 % quantile.
        error_50: Median of the maps' estimated relative errors, None where the method estimates none.
        error_95: Their 95 % quantile.
        failures: Images that could not be explained.
    """

    name: str
    label: int | None
    n: int
    accuracy: float | None
    confidence: float | None
    delta_5: float | None
    delta_50: float | None
    delta_95: float | None
    error_50: float | None
    error_95: float | None
    failures: int


@dataclass(frozen=True)
class RunSummary:
    """A run in numbers.

    Attributes:
        fingerprint: Of the run.
        images: In the manifest.
        published: Images in published shards, failures among them.
        explanations: Published rows.
        missing_shards: Numbers of the shards that are not published.
        evaluations: Of the model, spent on the rows.
        bytes: Of all published shards.
        sha256: Of the published shards' sha256s, in order, hex.
        overall: The whole run.
        classes: By label.
    """

    fingerprint: str
    images: int
    published: int
    explanations: int
    missing_shards: list[int]
    evaluations: int
    bytes: int
    sha256: str
    overall: ClassSummary
    classes: list[ClassSummary]

    @property
    def failures(self) -> int:
        """Images that could not be explained."""
        return self.overall.failures

    @property
    def complete(self) -> bool:
        """True if all shards are published."""
        return not self.missing_shards


def summarize_run(reader: ShardReader, totals: ShardTotals) -> RunSummary:
    """Summarises a run.

    Args:
        reader: The published shards.
        totals: Their summaries, added up.
    """
    manifest, classes = reader.manifest, totals.classes
    return RunSummary(
        fingerprint=manifest.fingerprint,
        images=len(manifest),
        published=int(np.diff(manifest.shards)[reader.shards].sum()),
        explanations=totals.rows,
        missing_shards=np.setdiff1d(np.arange(manifest.n_shards), reader.shards).tolist(),
        evaluations=totals.evaluations,
        bytes=totals.bytes,
        sha256=totals.sha256,
        overall=_class_summary("all", None, classes),
        classes=[
            _class_summary(class_name(manifest.class_names, label), label, {label: classes[label]}) for label in classes
        ],
    )


def _class_summary(name: str, label: int | None, classes: dict[int, ClassTotals]) -> ClassSummary:
    """Adds up the totals of one class, or of all."""
    n = sum(one.n for one in classes.values())
    labelled = [one for number, one in classes.items() if number >= 0]
    delta_5, delta_50, delta_95 = _quantiles("convergence_delta", classes.values())
    _, error_50, error_95 = _quantiles("error_estimate", classes.values())
    return ClassSummary(
        name,
        label,
        n,
        _ratio(sum(one.correct for one in labelled), sum(one.n for one in labelled)),
        _ratio(sum(one.confidence_sum for one in classes.values()), n),
        delta_5,
        delta_50,
        delta_95,
        error_50,
        error_95,
        sum(one.failures for one in classes.values()),
    )


def _quantiles(name: str, classes: Collection[ClassTotals]) -> list[float | None]:
    """`QUANTILES` of a column's magnitudes, as near as the sketches know them; None if there are none."""
    merged = Sketch()
    for one in classes:
        merged.merge(one.sketches[name])
    return [merged.quantile(q) for q in QUANTILES] if merged.count else [None] * len(QUANTILES)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
