"""The examples of a report: photograph, map and overlay of a few explanations, with what they say."""

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.data.decode import UnreadableImage
from pipeline.engine.geometry import NotSpatial
from pipeline.report.formatting import printable
from pipeline.report.run_summary import class_name
from pipeline.store.explanation import Explanation
from pipeline.store.manifest import Manifest
from pipeline.store.shard_summary import confidence
from pipeline.visualize import draw

_LARGEST = (384, 384)


@dataclass(frozen=True)
class CardImage:
    """A picture inside the page.

    Attributes:
        uri: With its bytes; None if there is nothing to show.
        alt: What it shows, or why there is none.
    """

    uri: str | None
    alt: str


@dataclass(frozen=True)
class ExampleCard:
    """An explanation as the page shows it.

    Attributes:
        path: Of the image, relative to the data's root.
        target: Name of the class explained.
        label: Name of the class that the image's folder says, None if it says none.
        predicted: Name of the predicted class.
        correct: Whether that is the label, None without one.
        confidence: Probability of the predicted class.
        score: F(x) of the target.
        delta: Convergence delta, None where the method has none.
        pictures: Photograph, map, overlay; or the map alone.
        width: Of the model's input, in pixels.
        height: Likewise.
    """

    path: str
    target: str
    label: str | None
    predicted: str
    correct: bool | None
    confidence: float
    score: float
    delta: float | None
    pictures: list[CardImage]
    width: int
    height: int


def card(explanation: Explanation, manifest: Manifest, *, images: bool) -> ExampleCard:
    """One example; without ``images`` nothing of the photograph is on it."""
    height, width = manifest.preprocessing["crop"]
    label, predicted, delta = explanation.label, explanation.predicted, explanation.convergence_delta
    sure = confidence(explanation.prediction[None], np.array([predicted]))
    return ExampleCard(
        path=printable(manifest.paths[explanation.index]),
        target=class_name(manifest, explanation.target) if explanation.target >= 0 else "The neuron",
        label=class_name(manifest, label) if label >= 0 else None,
        predicted=class_name(manifest, predicted),
        correct=label == predicted if label >= 0 else None,
        confidence=float(sure[0]),
        score=explanation.score,
        delta=delta if math.isfinite(delta) else None,
        pictures=_pictures(explanation, images=images),
        width=width,
        height=height,
    )


def data_uri(picture: Image.Image, kind: str = "jpeg") -> str:
    """The picture's bytes as an address, no larger than a screen shows them."""
    stream = io.BytesIO()
    shown = picture.copy()
    shown.thumbnail(_LARGEST)
    shown.save(stream, kind, quality=85, subsampling=0)  # whole chroma: in a map, colour is what counts
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _pictures(explanation: Explanation, *, images: bool) -> list[CardImage]:
    try:
        map_ = explanation.map
    except NotSpatial as reason:
        return [CardImage(None, f"No map: {reason}")]
    return _three(explanation, map_) if images else [_map(map_)]


def _map(map_: np.ndarray) -> CardImage:
    return CardImage(data_uri(draw(map_, sign="all")), "Attribution map")


def _three(explanation: Explanation, map_: np.ndarray) -> list[CardImage]:
    try:
        photograph = explanation.photograph()
    except UnreadableImage as error:
        return [CardImage(None, f"No photograph: {error}"), _map(map_), CardImage(None, "No overlay")]
    over = draw(map_, photograph, method="overlay")
    return [CardImage(data_uri(photograph), "Photograph"), _map(map_), CardImage(data_uri(over), "Map over photograph")]
