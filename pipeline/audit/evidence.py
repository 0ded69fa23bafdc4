"""Evidence for a shortcut as plain data: clusters, scores, interventions. docs/audit.md says what each number means."""

from dataclasses import dataclass

from pipeline.metrics.bootstrap import Interval

Box = tuple[int, int, int, int]
"""Top, left, bottom, right, in pixels of the model's input; the last two are exclusive."""


@dataclass(frozen=True)
class Effect:
    """Effect of covering a region: covered less uncovered.

    Attributes:
        accuracy: Change of the share predicted as the class.
        score: Change of the class's output (logit).
    """

    accuracy: Interval
    score: Interval


@dataclass(frozen=True)
class InterventionResult:
    """Result of an intervention on a suspected region: it is blurred, and the model evaluated again.

    Attributes:
        images: Number of images.
        accuracy: Share predicted as the class, uncovered.
        region: Effect of covering the region.
        control: Mean effect of covering control regions of the same size.
        difference: Region less control, paired by image.
        elsewhere: The control regions.
        confirmed: True if both intervals of the difference, of accuracy and of score, lie below 0.
    """

    images: int
    accuracy: float
    region: Effect
    control: Effect
    difference: Effect
    elsewhere: list[Box]
    confirmed: bool


@dataclass(frozen=True)
class Cluster:
    """Images of a class whose maps are alike.

    Attributes:
        number: Number in its class, the largest first.
        images: Number of images.
        share: Their share of the class.
        accuracy: Share predicted as labelled, None without labels.
        purity: Share with the most frequent prediction.
        predicted: The most frequent prediction.
        predicted_name: Its name.
        apart: Mean silhouette of its maps, in [-1, 1]; 0 where it is the whole class.
        border: Share of its mean map in the outer eighth of each side.
        corner: Share of its mean map in the corner with most mass, three eighths of each side.
        rows: Representative images, the nearest to the mean map first.
        mean: Position of its mean map in ``Arrays.cluster_mean``.
    """

    number: int
    images: int
    share: float
    accuracy: float | None
    purity: float
    predicted: int
    predicted_name: str
    apart: float
    border: float
    corner: float
    rows: list[int]
    mean: int


@dataclass(frozen=True)
class Shortcut:
    """Suspected shortcut of a class.

    Attributes:
        score: Mean of its parts, each in [0, 1]: the next four, and ``agreement`` where it is known.
        suspect: True if the score is an outlier: see :mod:`pipeline.audit.suspects`.
        border: Mass on the border in excess of the other classes'.
        corner: Mass in the corner with most of it, in excess of the other classes'.
        place: Median mass in ``box`` in excess of the other classes', times the share of it that is in excess.
        apart: Silhouette of the cluster times ``place``; 0 for a class as a whole.
        cluster: Number of the cluster concerned, None for the class as a whole.
        images: Number of images concerned.
        box: The suspected region.
        mass: Median share of a map in ``box``.
        elsewhere: Share of the other classes' mean map in ``box``.
        check: Result of the intervention, None without one.
        agreement: ``place`` of another method's maps in the same box, None without another method.
    """

    score: float
    border: float
    corner: float
    place: float
    apart: float
    cluster: int | None
    images: int
    box: Box
    mass: float
    elsewhere: float
    suspect: bool = False
    check: InterventionResult | None = None
    agreement: float | None = None
