"""Picture strips of explanations: photograph, map and overlay side by side, all maps on one scale."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.audit.page.examples import evenly_spaced
from pipeline.data.decode import UnreadableImage
from pipeline.models.class_names import class_name
from pipeline.report.formatting import printable
from pipeline.store.explanation import Explanation
from pipeline.store.reader import Run
from pipeline.visualize import Panel

SIDE = 112
"""Longer side of a picture in a strip at most, in pixels."""
_SCALE_SAMPLE = 200
"""Maps that the common scale is estimated from."""
_MAP, _OVERLAY = Panel(sign="all"), Panel("overlay")


@dataclass(frozen=True)
class Strip:
    """An explanation as the page shows it.

    Attributes:
        row: Row of the run.
        path: Path of the image.
        label: Name of the label, None if unknown.
        predicted: Name of the predicted class.
        correct: True if they are the same class, None without a label.
        confidence: Probability of the predicted class.
        pictures: 3: photograph, map, overlay; 1: the map alone.
        jpeg: The pictures side by side.
    """

    row: int
    path: str
    label: str | None
    predicted: str
    correct: bool | None
    confidence: float
    pictures: int
    jpeg: bytes

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"


def strips(run: Run, rows: Sequence[int], scale: float | None, *, images: bool) -> Iterator[Strip]:
    """Draw one strip for each row.

    Args:
        run: The run.
        rows: Rows of the run.
        scale: Magnitude with the strongest colour, for all maps.
        images: False leaves out the photographs; none is opened.
    """
    panel = Panel(sign="all", scale=scale)
    for row in rows:
        explanation = run[row]
        pictures = _pictures(explanation, panel, images=images)
        label, predicted = explanation.label, explanation.predicted
        confidence = run.manifest.output_space.confidence(explanation.prediction[None], np.array([predicted]))
        yield Strip(
            row=row,
            path=printable(run.manifest.paths[explanation.index]),
            label=class_name(run.manifest.class_names, label) if label >= 0 else None,
            predicted=class_name(run.manifest.class_names, predicted),
            correct=label == predicted if label >= 0 else None,
            confidence=float(confidence[0]),
            pictures=len(pictures),
            jpeg=_side_by_side(pictures),
        )


def common_scale(run: Run, rows: Sequence[int]) -> float | None:
    """Median of the magnitudes that each map alone would give the strongest colour; None if all are zero."""
    strongest = [_MAP.threshold(run[row].map) for row in evenly_spaced(rows, _SCALE_SAMPLE)]
    positive = [value for value in strongest if value > 0]
    return float(np.median(positive)) if positive else None


def _pictures(explanation: Explanation, panel: Panel, *, images: bool) -> list[Image.Image]:
    map_ = explanation.map
    heat = panel.picture(map_)
    if not images:
        return [heat]
    try:
        photograph = explanation.photograph()
    except UnreadableImage:
        return [heat]
    return [photograph, heat, _OVERLAY.picture(map_, photograph)]


def _side_by_side(pictures: Sequence[Image.Image]) -> bytes:
    width, height = pictures[0].size
    shrink = min(1.0, SIDE / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    strip = Image.new("RGB", (len(pictures) * size[0], size[1]))
    for place, picture in enumerate(pictures):
        strip.paste(picture.resize(size, Image.Resampling.BOX), (place * size[0], 0))
    stream = io.BytesIO()
    strip.save(stream, "jpeg", quality=82, subsampling=0)  # no chroma subsampling: a map's information is its colour
    return stream.getvalue()
