"""What speaks for a shortcut, as plain data; docs/audit.md says what each number means."""

from dataclasses import dataclass

Box = tuple[int, int, int, int]
"""Top, left, bottom, right, in pixels of the model's input; the last two are past the end."""


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Effect:
    """What covering a region changes: covered less uncovered.

    Attributes:
        accuracy: Of the share predicted as the class.
        score: Of the class's output (logit).
    """

    accuracy: Interval
    score: Interval


@dataclass(frozen=True)
class Check:
    """The counter-check of a suspected region: it is blurred, and the model asked again.

    Attributes:
        images: How many were asked.
        accuracy: Share predicted as the class, uncovered.
        region: What covering the region changes.
        control: What covering equally large regions elsewhere changes, their mean.
        difference: Region less control, in pairs.
        elsewhere: The control regions.
        confirmed: Whether the intervals of the difference lie below 0 whole, both that of accuracy and that of score.
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
        number: In its class, the largest first.
        images: How many.
        share: Of the class.
        accuracy: Share predicted as labelled, None without labels.
        purity: Share that has the commonest prediction.
        predicted: The commonest prediction.
        predicted_name: Its name.
        apart: Mean silhouette of its maps, in [-1, 1]; 0 where it is the whole class.
        border: Share of its mean map in the outer eighth of each side.
        corner: Share of its mean map in its fullest corner, three eighths of each side.
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
    """How much a class looks as if it rested on a shortcut.

    Attributes:
        score: Mean of its parts, each in [0, 1]: the next four, and ``agreement`` where it is known.
        suspect: Whether the score stands out: `SUSPECT` at least, and `BEYOND` times the median of the other classes.
        border: Mass on the border, beyond what the other classes have there.
        corner: Mass in the fullest corner, beyond what the other classes have there.
        place: Mass in ``box``, in half of the images or more, beyond what the other classes have there, times the share
            of it that is beyond.
        apart: Silhouette of the cluster times ``place``; 0 for a class as a whole.
        cluster: Number of the cluster that it is about, None for the class as a whole.
        images: How many it is about.
        box: The suspected region.
        mass: Median share of a map in ``box``.
        elsewhere: Share of the other classes' mean map in ``box``.
        check: None where it was not checked.
        agreement: What ``place`` is by the maps of another method in the same box, None where there is no other.
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
    check: Check | None = None
    agreement: float | None = None
