"""An explanation: one row of the store, read lazily."""

import io
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.data.decode import UnreadableImage
from pipeline.data.fetch import fetch_image
from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.geometry import NotSpatial
from pipeline.models.class_names import class_name
from pipeline.store.shard_reader import ShardReader
from pipeline.visualize.panel import Panel, panels_of, without_image
from pipeline.visualize.sheet import row


class Explanation:
    """The explanation of one image for one target: its attribution map and columns, each read when it is accessed.

    Args:
        reader: Reader of the run's shards.
        shard: Number of the shard that it is in.
        row: Its row in that shard.
    """

    def __init__(self, reader: ShardReader, shard: int, row: int) -> None:
        self._reader = reader
        self._shard = shard
        self._row = row

    def __repr__(self) -> str:
        return f"Explanation({str(self.path)!r}, target={self.target}, score={self.score:.4g})"

    def _repr_png_(self) -> bytes | None:
        """Picture for a notebook; None, for which it shows the text, if the map has no position in the image."""
        stream = io.BytesIO()
        try:
            self.show().save(stream, "png")
        except NotSpatial:
            return None
        return stream.getvalue()

    @property
    def map(self) -> np.ndarray:
        """(C or 1, H, W) float32, at the model's input size.

        Raises:
            NotSpatial: It is of a layer whose values have no position in the image; ``native`` has them.
        """
        expanded = self._reader.geometry.expand(torch.from_numpy(self.native[None]))
        return expanded[0].numpy().astype(np.float32, copy=False)

    @property
    def native(self) -> np.ndarray:
        """The map in its native geometry, for example a grid of windows; float32, or float64 if stored so."""
        stored = self._reader.read(self._shard, "attribution", self._row)
        widened = stored.astype(np.promote_types(stored.dtype, np.float32), copy=False)  # float16 may overflow
        scaled: np.ndarray = widened * self._value("scale")
        return scaled

    @property
    def path(self) -> Path:
        """Path of the image file, which may not exist any more."""
        return self._reader.manifest.path(self.index)

    @property
    def index(self) -> int:
        """Number of the image in the manifest."""
        return int(self._value("index"))

    @property
    def label(self) -> int:
        """Class by the image's folder, -1 unknown."""
        return int(self._value("label"))

    @property
    def target(self) -> int:
        """Class explained; -1 for a hidden neuron."""
        return int(self._value("target"))

    @property
    def class_name(self) -> str:
        """Name of the class explained, by the model or the class folders; the target's number where none names it."""
        return class_name(self._reader.manifest.class_names, self.target, unnamed=str)

    @cached_property
    def prediction(self) -> np.ndarray:
        """Logits (K,) float32."""
        return self._reader.read(self._shard, "prediction", self._row)

    @cached_property
    def features(self) -> np.ndarray:
        """Input of the classifier's last layer, (F,) float32; F is 0 unless the run has ``store.features=true``."""
        return self._reader.read(self._shard, "features", self._row)

    @property
    def predicted(self) -> int:
        """Class with the highest score."""
        return int(self._value("predicted"))

    @property
    def score(self) -> float:
        """F(x) for the target."""
        return float(self._value("score"))

    @property
    def baseline_score(self) -> float:
        """F(baselines) for the target."""
        return float(self._value("baseline_score"))

    @property
    def convergence_delta(self) -> float:
        """sum(map) - (score - baseline score), before the map was cast to the stored dtype; NaN where undefined."""
        return float(self._value("convergence_delta"))

    @property
    def error_estimate(self) -> float:
        """Estimated relative error (L2) of the map before it was cast to the stored dtype; NaN where not estimated."""
        return float(self._value("error_estimate"))

    @property
    def evaluations(self) -> int:
        """Number of model evaluations."""
        return int(self._value("evaluations"))

    @property
    def crop(self) -> tuple[int, int, int, int, int, int]:
        """Original height and width; top, left, bottom, right of the model's input in it; in original pixels."""
        height, width, top, left, bottom, right = self._value("crop").tolist()
        return height, width, top, left, bottom, right

    def photograph(self) -> Image.Image:
        """Return the image as the model's input, resized and cropped, before normalisation.

        Raises:
            UnreadableImage: The image file does not exist any more, or is damaged.
        """
        manifest = self._reader.manifest
        pixels, _ = Preprocessing.from_json(manifest.preprocessing)(
            fetch_image(manifest.root, manifest.paths.location(self.index))
        )
        return Image.fromarray(pixels.permute(1, 2, 0).numpy())

    def show(self, *panels: Panel, **options: Any) -> Image.Image:
        """Draw the map over the image, or other panels side by side.

        Args:
            panels: See :class:`pipeline.visualize.Panel`; by default one ``overlay``.
            options: Options of a single panel, instead of panels.

        Returns:
            The picture; only the heat maps of the panels, or one, if the image file cannot be read.

        Raises:
            ValueError: An option has a value that it cannot have.
        """
        wanted = panels_of(panels, options) if panels or options else (Panel("overlay"),)
        try:
            image = self.photograph() if any(panel.needs_image for panel in wanted) else None
        except UnreadableImage:
            image, wanted = None, without_image(wanted)
        return row(self.map, image, wanted)

    def _value(self, name: str) -> np.ndarray:
        value: np.ndarray = self._reader.column(self._shard, name)[self._row]
        return value
