"""Example cards of a report: photograph, map and overlay of an explanation, with its classes and scores."""

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.data.decode import UnreadableImage
from pipeline.engine.geometry import NotSpatial
from pipeline.models.class_names import class_name
from pipeline.report.formatting import printable
from pipeline.store.explanation import Explanation
from pipeline.store.manifest import Manifest
from pipeline.visualize import draw

_MAX_SIZE = (384, 384)
"""Width and height in pixels of a picture in the page, at most."""


@dataclass(frozen=True)
class CardImage:
    """A picture embedded in the page.

    Attributes:
        uri: Data URI with its bytes; None if it is missing.
        alt: Alternative text, or the reason why it is missing.
    """

    uri: str | None
    alt: str


@dataclass(frozen=True)
class ExampleCard:
    """Content of an explanation's card.

    Attributes:
        path: Of the image, relative to the data's root.
        target: Name of the class explained.
        label: Name of the class by the image's folder, None without a label.
        predicted: Name of the predicted class.
        correct: True if the prediction is the label, None without a label.
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


def example_card(explanation: Explanation, manifest: Manifest, *, images: bool) -> ExampleCard:
    """Makes the card of an explanation; without ``images`` the photograph is not opened, and the map stands alone."""
    height, width = manifest.preprocessing["crop"]
    label, predicted, delta = explanation.label, explanation.predicted, explanation.convergence_delta
    probability = manifest.output_space.confidence(explanation.prediction[None], np.array([predicted]))
    return ExampleCard(
        path=printable(manifest.paths[explanation.index]),
        target=class_name(manifest.class_names, explanation.target) if explanation.target >= 0 else "The neuron",
        label=class_name(manifest.class_names, label) if label >= 0 else None,
        predicted=class_name(manifest.class_names, predicted),
        correct=label == predicted if label >= 0 else None,
        confidence=float(probability[0]),
        score=explanation.score,
        delta=delta if math.isfinite(delta) else None,
        pictures=_pictures(explanation, images=images),
        width=width,
        height=height,
    )


def data_uri(picture: Image.Image, kind: str = "jpeg") -> str:
    """Encodes a picture as a data URI, scaled down to `_MAX_SIZE`."""
    stream = io.BytesIO()
    shown = picture.copy()
    shown.thumbnail(_MAX_SIZE)
    shown.save(stream, kind, quality=85, subsampling=0)  # no chroma subsampling: a map's values are in its colours
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _pictures(explanation: Explanation, *, images: bool) -> list[CardImage]:
    try:
        map_ = explanation.map
    except NotSpatial as reason:
        return [CardImage(None, f"No map: {reason}")]
    return _photograph_and_map(explanation, map_) if images else [_map(map_)]


def _map(map_: np.ndarray) -> CardImage:
    return CardImage(data_uri(draw(map_, sign="all")), "Attribution map")


def _photograph_and_map(explanation: Explanation, map_: np.ndarray) -> list[CardImage]:
    try:
        photograph = explanation.photograph()
    except UnreadableImage as error:
        return [CardImage(None, f"No photograph: {error}"), _map(map_), CardImage(None, "No overlay")]
    overlay = draw(map_, photograph, method="overlay")
    return [
        CardImage(data_uri(photograph), "Photograph"),
        _map(map_),
        CardImage(data_uri(overlay), "Map over photograph"),
    ]
