"""Options of the group ``data``, typed."""

from dataclasses import dataclass
from typing import Any

from pipeline.system.configuration import Config


@dataclass(frozen=True)
class TransformOptions:
    """Fields of the preprocessing that replace the model's own; None leaves the model's.

    Attributes:
        resize: Shorter side in pixels, or [height, width].
        crop: Of the centre crop, in pixels.
        mean: Of each channel, in [0, 1].
        std: Of each channel, in [0, 1].
        interpolation: Name of the filter that resizes.
    """

    resize: int | list[int] | None
    crop: int | list[int] | None
    mean: list[float] | None
    std: list[float] | None
    interpolation: str | None

    def given(self) -> dict[str, Any]:
        """The fields that are not None, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class DataOptions:
    """Selection of the images that are explained, and their preprocessing.

    Attributes:
        root: Folder or address of the images; None for the demo's photographs.
        labels: False if no labels are read.
        class_map: JSON file, {class folder: class number}.
        limit: Number of images, spread evenly over the whole.
        per_class: Number of images of each class.
        classes: Class folders to keep.
        max_failed: Share of images that may fail before the exit status is 3.
        transform: Overrides of the model's preprocessing.
        list_file: The option ``list``: a file with a path on each line; of ``data=folder`` alone.
        image_column: Of ``data=huggingface`` alone.
        label_column: Of ``data=huggingface`` alone.
    """

    root: str | None
    labels: bool
    class_map: str | None
    limit: int | None
    per_class: int | None
    classes: list[str] | None
    max_failed: float
    transform: TransformOptions
    list_file: str | None = None
    image_column: str | None = None
    label_column: str | None = None

    @classmethod
    def from_node(cls, node: Config) -> "DataOptions":
        """From the group's node of a composed configuration."""
        options = {"list_file" if name == "list" else name: value for name, value in node.items()}
        options["transform"] = TransformOptions(**node["transform"])
        options["classes"] = node["classes"] and [str(name) for name in node["classes"]]  # Hydra reads `9` as a number
        return cls(**options)
