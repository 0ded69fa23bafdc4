"""Options of the group ``task``, typed: one class for each task that has any."""

from dataclasses import dataclass
from typing import Self

from pipeline.system.configuration import Config


@dataclass(frozen=True)
class TaskOptions:
    """Options of a task that has none of its own, and a part of the others'.

    Attributes:
        name: Of the task.
    """

    name: str

    @classmethod
    def from_node(cls, node: Config) -> Self:
        """From the group's node of a composed configuration."""
        return cls(**node)


@dataclass(frozen=True)
class WorkOptions(TaskOptions):
    """Options of ``task=work``.

    Attributes:
        worker: Number of this worker, from 0.
        workers: Number of workers that share the run.
        finish: True to write summary and report when no work is left.
    """

    worker: int
    workers: int
    finish: bool


@dataclass(frozen=True)
class VerifyOptions(TaskOptions):
    """Options of ``task=verify``.

    Attributes:
        repair: True to compute damaged and missing rows again.
    """

    repair: bool


@dataclass(frozen=True)
class StatusOptions(TaskOptions):
    """Options of ``task=status``.

    Attributes:
        json: True to write JSON to standard output.
    """

    json: bool


@dataclass(frozen=True)
class RenderOptions(TaskOptions):
    """Options of ``task=render``.

    Attributes:
        folder: Of the pictures; None: ``pictures`` in the run's folder.
        limit: Number of explanations, the first ones; None: all.
        panels: Names of the panels, left to right.
        sign: Which values are drawn; None: all in heat maps, magnitudes in others.
        outlier_perc: Percentage of a map's magnitude that may be clipped.
        cmap: Colour map of heat maps; None: by sign.
        alpha_overlay: Opacity of the map over the image; None: the panel's own.
        show_colorbar: True to draw one below heat maps.
        titles: True to draw them above.
        scale: ``own``, ``shared``, or the value with the strongest colour.
    """

    folder: str | None
    limit: int | None
    panels: list[str]
    sign: str | None
    outlier_perc: float
    cmap: str | None
    alpha_overlay: float | None
    show_colorbar: bool
    titles: bool
    scale: str | float


@dataclass(frozen=True)
class ExportOptions(TaskOptions):
    """Options of ``task=export``.

    Attributes:
        format: ``virelay``, ``png``, ``npz`` or ``zarr``.
        folder: Where to write; None: ``export/FORMAT`` in the run's folder.
        limit: Number of explanations, the first ones; None: all.
    """

    format: str
    folder: str | None
    limit: int | None


@dataclass(frozen=True)
class EvaluateOptions(TaskOptions):
    """Options of ``task=evaluate``.

    Attributes:
        metrics: Names of the metrics to compute.
        images: Explanations in the sample; None: all.
        seed: Of the sample, the controls and all other random draws.
        resamples: Of the bootstrap.
        nodes: Of every metric, by name: ``_target_`` and options.
    """

    metrics: list[str]
    images: int | None
    seed: int
    resamples: int
    nodes: dict[str, Config]

    @classmethod
    def from_node(cls, node: Config) -> Self:
        nodes = {name: value for name, value in node.items() if isinstance(value, dict)}
        return cls(**{name: value for name, value in node.items() if name not in nodes}, nodes=nodes)


@dataclass(frozen=True)
class AnalysisOptions(TaskOptions):
    """Options of the tasks that audit a run.

    Attributes:
        checks: Suspects whose region is covered while the network is evaluated again; 0: none.
        clusters: What the clusters of a class are of: ``maps`` or ``features``.
    """

    checks: int
    clusters: str


@dataclass(frozen=True)
class FailOnOptions:
    """Limits of ``task=audit``, above which the exit status is 5; None admits all.

    Attributes:
        shortcut: Highest shortcut score.
        suspects: Number of suspected classes.
        confirmed: Number of confirmed classes.
        doubted: Share of labels in doubt.
        unfaithful: Share of maps whose sum is wrong.
        failures: Number of images that could not be explained.
    """

    shortcut: float | None
    suspects: int | None
    confirmed: int | None
    doubted: float | None
    unfaithful: float | None
    failures: int | None


@dataclass(frozen=True)
class AuditOptions(AnalysisOptions):
    """Options of ``task=audit``.

    Attributes:
        against: Folder of another run over the same images, to compare with.
        fail_on: Limits.
    """

    against: str | None
    fail_on: FailOnOptions

    @classmethod
    def from_node(cls, node: Config) -> Self:
        return cls(**{**node, "fail_on": FailOnOptions(**node["fail_on"])})


@dataclass(frozen=True)
class PlantOptions(AnalysisOptions):
    """Options of ``task=plant``.

    Attributes:
        classes: Number of classes.
        per_class: Photographs of each class that are explained; twice as many others train the head.
        watermark: False for the negative control.
        marked: Share of the planted class that shows another class's photographs with the watermark.
        swapped: Share of the explained photographs that lie in another class's folder.
    """

    classes: int
    per_class: int
    watermark: bool
    marked: float
    swapped: float
