"""Findings of an audit as plain data; docs/audit.md says what each number means."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.audit.evidence import Cluster, Shortcut
from pipeline.audit.image_findings import Confusion, LabelIssue, Outlier, RunComparison, SimilarClasses, Unfaithful

VERSION = 1
"""Schema version of audit.json."""


@dataclass(frozen=True)
class RunFacts:
    """Facts about the audited run.

    Attributes:
        folder: The run's folder.
        fingerprint: Of the run.
        method: Its method.
        options: Of the method.
        target: The option ``target``: ``pred``, ``label``, class numbers.
        output: ``logit``, ``probability`` or ``log_probability``.
        model: Its name.
        weights_sha256: Of the model.
        root: Of the images.
        images: In the manifest.
        audited: Explained images; of several targets the first row is audited.
        failures: Images that could not be explained.
        missing_shards: Number of unpublished shards.
        height: Of the model's input, pixels.
        width: Of the model's input, pixels.
        pooled: False if the maps have no place in the image; then there are no findings about places.
        clusters: Data that is clustered: ``maps`` or ``features``.
    """

    folder: str
    fingerprint: str
    method: str
    options: dict[str, Any]
    target: Any
    output: str
    model: str
    weights_sha256: str
    root: str
    images: int
    audited: int
    failures: int
    missing_shards: int
    height: int
    width: int
    pooled: bool
    clusters: str = "maps"


@dataclass(frozen=True)
class Totals:
    """Totals of the run.

    Attributes:
        accuracy: Share predicted as labelled, None without labels.
        zero_maps: Maps without a positive part.
        doubted: Images whose label confident learning holds to be another.
        doubted_share: Their share of the labelled images.
        outliers: Images whose map is an outlier in its class.
        unfaithful: Images whose map violates completeness.
        unfaithful_share: Their share of the maps that have a convergence delta, None without deltas.
        suspects: Classes whose shortcut score is an outlier.
        confirmed: Suspects that an intervention confirmed.
    """

    accuracy: float | None
    zero_maps: int
    doubted: int
    doubted_share: float | None
    outliers: int
    unfaithful: int
    unfaithful_share: float | None
    suspects: int
    confirmed: int


@dataclass(frozen=True)
class ClassFindings:
    """A class: images of one label, or without labels of one prediction.

    Attributes:
        number: Of the class.
        name: Of the class.
        images: Explained.
        failures: Images that could not be explained.
        accuracy: Share predicted as labelled, None without labels.
        confidence: Mean probability of the predicted class, None if no image is explained.
        self_confidence: Mean probability of the label, None without labels.
        border: Share of the mean map in the outer eighth of each side; None without maps, as what follows.
        corner: Share of the mean map in the corner with most mass, three eighths of each side.
        coincidence: Mean overlap (Bhattacharyya) of two of its maps, 1 if all are the same.
        entropy: Of the mean map, as a share of that of a uniform one.
        zero_maps: Maps without a positive part.
        doubted: Images whose label confident learning holds to be another.
        outliers: Images whose map is an outlier.
        unfaithful: Images whose map violates completeness.
        eigenvalues: The smallest of the graph Laplacian of its maps; their widest gap gives the number of clusters.
        clusters: The largest first; empty where there are too few maps.
        shortcut: None where there are too few maps.
        mean: Position of its maps in ``Arrays.mean`` and ``Arrays.variance``, None without maps.
        rows: Rows of some of its images, the nearest to the mean map first.
    """

    number: int
    name: str
    images: int
    failures: int
    accuracy: float | None
    confidence: float | None
    self_confidence: float | None
    border: float | None = None
    corner: float | None = None
    coincidence: float | None = None
    entropy: float | None = None
    zero_maps: int = 0
    doubted: int = 0
    outliers: int = 0
    unfaithful: int = 0
    eigenvalues: list[float] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    shortcut: Shortcut | None = None
    mean: int | None = None
    rows: list[int] = field(default_factory=list)

    @property
    def is_suspect(self) -> bool:
        """True if its shortcut score is an outlier."""
        return self.shortcut is not None and self.shortcut.suspect


@dataclass(frozen=True)
class Arrays:
    """Arrays that are too large for JSON; ``arrays.npz`` has them under these names.

    Attributes:
        mean: Mean map of each class with maps, shares of the whole, float32 (classes, G, G).
        variance: Of the cells over the class's maps, float32 (classes, G, G).
        cluster_mean: Mean map of each cluster, float32 (clusters, G, G).
        row: Row in the run of each audited image, int64 (n,); the arrays below go with it.
        group: Number of its class, int32 (n,).
        cluster: Number of its cluster in the class, int32 (n,), -1 without.
        embedding: Two spectral coordinates, float32 (n, 2), NaN without.
        self_confidence: Probability of the label, float32 (n,), NaN without.
        margin: Normalised margin of the label, float32 (n,), NaN without.
    """

    mean: np.ndarray
    variance: np.ndarray
    cluster_mean: np.ndarray
    row: np.ndarray
    group: np.ndarray
    cluster: np.ndarray
    embedding: np.ndarray
    self_confidence: np.ndarray
    margin: np.ndarray

    def members(self, group: int, cluster: int | None) -> np.ndarray:
        """Mask of the images of a class, or of one of its clusters, bool (n,)."""
        members: np.ndarray = (self.group == group) & (cluster is None or self.cluster == cluster)
        return members


@dataclass(frozen=True)
class Audit:
    """Audit of a run.

    Attributes:
        run: Facts about the run.
        totals: Totals of the run.
        classes: Suspects by their score, the highest first; then the others by number.
        doubts: Labels, the most doubtful first.
        outliers: By outlier factor, the highest first.
        unfaithful: By relative delta, the highest first.
        confusions: The most frequent first.
        alike: Similar classes, the most similar first.
        comparison: With another run, None without one.
        arrays: Stored beside the JSON.
        version: Schema version.
    """

    run: RunFacts
    totals: Totals
    classes: list[ClassFindings]
    doubts: list[LabelIssue]
    outliers: list[Outlier]
    unfaithful: list[Unfaithful]
    confusions: list[Confusion]
    alike: list[SimilarClasses]
    comparison: RunComparison | None
    arrays: Arrays
    version: int = VERSION
