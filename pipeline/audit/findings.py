"""All that an audit finds, as plain data; docs/audit.md says what each number means."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.audit.evidence import Cluster, Shortcut
from pipeline.audit.image_findings import Comparison, Confusion, LabelIssue, Outlier, SimilarClasses, Unfaithful

VERSION = 1
"""Of audit.json."""


@dataclass(frozen=True)
class RunFacts:
    """What was audited.

    Attributes:
        folder: The run's folder.
        fingerprint: Of the run.
        method: Its method.
        options: Of the method.
        target: What was explained: ``pred``, ``label``, class numbers.
        output: ``logit``, ``probability`` or ``log_probability``.
        model: Its name.
        weights_sha256: Of the model.
        root: Of the images.
        images: In the manifest.
        audited: Images that are explained; of those with several targets the first row is looked at.
        failures: Images that could not be explained.
        missing_shards: How many are not published.
        height: Of the model's input, pixels.
        width: Of the model's input, pixels.
        pooled: False where the maps belong nowhere in the image; then nothing that needs places is found.
        clusters: What clusters are of: ``maps`` or ``features``.
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
    """The whole run in numbers.

    Attributes:
        accuracy: Share predicted as labelled, None without labels.
        zero_maps: Maps without a positive part.
        doubted: Images whose label confident learning holds to be another.
        doubted_share: Their share of the labelled images.
        outliers: Images whose map stands alone in its class.
        unfaithful: Images whose map misses much of what it should sum to.
        unfaithful_share: Their share of the maps that have a convergence delta, None without deltas.
        suspects: Classes whose shortcut score stands out.
        confirmed: Suspects that the counter-check confirmed.
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
        corner: Share of the mean map in its fullest corner, three eighths of each side.
        coincidence: Mean overlap (Bhattacharyya) of two of its maps, 1 where all are the same.
        entropy: Of the mean map, as a share of that of an even one.
        zero_maps: Maps without a positive part.
        doubted: Images whose label confident learning holds to be another.
        outliers: Images whose map stands alone.
        unfaithful: Images whose map misses much of what it should sum to.
        eigenvalues: The smallest of the graph Laplacian of its maps; where they leap is how many clusters there are.
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
        """Whether its shortcut score stands out."""
        return self.shortcut is not None and self.shortcut.suspect


@dataclass(frozen=True)
class Arrays:
    """What is too large for JSON; ``arrays.npz`` has it under these names.

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
        """Which images are of a class, or of one of its clusters, bool (n,)."""
        members: np.ndarray = (self.group == group) & (cluster is None or self.cluster == cluster)
        return members


@dataclass(frozen=True)
class Audit:
    """All that is found in a run.

    Attributes:
        run: What was audited.
        totals: In numbers.
        classes: Suspects by their score, the highest first; then the others by number.
        doubts: Labels, the most doubtful first.
        outliers: By their factor.
        unfaithful: By their relative delta.
        confusions: The commonest first.
        alike: The most alike first.
        comparison: With another run, where one was named.
        arrays: Beside the JSON.
        version: Of the schema.
    """

    run: RunFacts
    totals: Totals
    classes: list[ClassFindings]
    doubts: list[LabelIssue]
    outliers: list[Outlier]
    unfaithful: list[Unfaithful]
    confusions: list[Confusion]
    alike: list[SimilarClasses]
    comparison: Comparison | None
    arrays: Arrays
    version: int = VERSION
