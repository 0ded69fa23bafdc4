"""Findings about single images, pairs of classes and pairs of runs, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelIssue:
    """Label issue: an image whose label the model contradicts.

    Attributes:
        row: Of the run.
        path: Of the image, relative to the root, as ``os.fsdecode`` gives it.
        label: By the folder.
        label_name: Its name.
        predicted: By the model.
        predicted_name: Its name.
        self_confidence: Probability of the label.
        margin: (probability of the label - highest of the others + 1) / 2.
        suggested: The class that confident learning holds to be right, None if it is not sure.
    """

    row: int
    path: str
    label: int
    label_name: str
    predicted: int
    predicted_name: str
    self_confidence: float
    margin: float
    suggested: int | None


@dataclass(frozen=True)
class Outlier:
    """Outlier: an image whose map is far from the other maps of its class.

    Attributes:
        row: Of the run.
        path: Of the image.
        number: Of its class.
        factor: Local outlier factor of the map, about 1 for an inlier.
    """

    row: int
    path: str
    number: int
    factor: float


@dataclass(frozen=True)
class Unfaithful:
    """Unfaithful map: its sum is far from the change of output that it explains.

    Attributes:
        row: Of the run.
        path: Of the image.
        number: Of its class.
        delta: sum(map) - (F(x) - F(baseline)).
        relative: Its magnitude over that of F(x) - F(baseline).
    """

    row: int
    path: str
    number: int
    delta: float
    relative: float


@dataclass(frozen=True)
class Confusion:
    """Images of one class that are predicted as another.

    Attributes:
        label: By the folder.
        label_name: Its name.
        predicted: By the model.
        predicted_name: Its name.
        images: Number of images.
        share: Of the label's images.
        rows: Some of them, those of the highest confidence first.
    """

    label: int
    label_name: str
    predicted: int
    predicted_name: str
    images: int
    share: float
    rows: list[int]


@dataclass(frozen=True)
class SimilarClasses:
    """Two classes whose mean maps differ from the mean of all classes in the same way.

    Attributes:
        first: Number of a class.
        first_name: Its name.
        second: Number of another.
        second_name: Its name.
        similarity: Cosine of the two differences, in [-1, 1].
    """

    first: int
    first_name: str
    second: int
    second_name: str
    similarity: float


@dataclass(frozen=True)
class ClassComparison:
    """Comparison of a class between two runs.

    Attributes:
        number: Of the class.
        name: Its name.
        images: Number of images that both runs explain.
        correlation: Mean over images of the rank correlation (Spearman) of the two maps.
        overlap: Mean over images of the common share of the tenth of the cells with most mass.
        mean_overlap: Bhattacharyya coefficient of the two mean maps.
        accuracy: Of the other run, less this one's; None without labels.
        shortcut: Shortcut score in this run, None without one.
        other_shortcut: Shortcut score in the other run.
        suspect: ``appeared`` (here, not there), ``gone`` (there, not here), ``both`` or ``neither``.
    """

    number: int
    name: str
    images: int
    correlation: float | None
    overlap: float | None
    mean_overlap: float | None
    accuracy: float | None
    shortcut: float | None
    other_shortcut: float | None
    suspect: str


@dataclass(frozen=True)
class RunComparison:
    """Comparison of this run with another.

    Attributes:
        folder: Of the other run.
        fingerprint: Of the other run.
        method: Of the other run.
        model: Of the other run.
        images: Number of images that both explain, matched by their paths.
        correlation: Mean over images, as of a class.
        overlap: Mean over images, as of a class.
        classes: Those with the lowest rank correlation first.
    """

    folder: str
    fingerprint: str
    method: str
    model: str
    images: int
    correlation: float | None
    overlap: float | None
    classes: list[ClassComparison]
