"""How sure the model is of an image's label, of its prediction, and of the best other class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.audit.image_table import Images


@dataclass(frozen=True)
class ClassProbabilities:
    """Probabilities, float64 (n,), of all images of an audit.

    Attributes:
        predicted: Of the predicted class.
        label: Of the label; NaN without one.
        other: Highest of all classes but the label; NaN without one.
    """

    predicted: np.ndarray
    label: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, images: Images) -> "ClassProbabilities":
        """Reads the predictions shard by shard."""
        found = cls(*(np.full(len(images), np.nan) for _ in range(3)))
        for positions, probability in probabilities(images):
            label, row = images.columns["label"][positions], np.arange(len(positions))
            found.predicted[positions] = probability[row, images.columns["predicted"][positions]]
            known = label >= 0
            found.label[positions[known]] = probability[row[known], label[known]]
            probability[row[known], label[known]] = -1
            found.other[positions[known]] = probability[known].max(1, initial=0)
        return found

    @property
    def margin(self) -> np.ndarray:
        """Normalised margin of the label, in [0, 1]: (p(label) - p(best other) + 1) / 2, below 1/2 if another wins.

        As cleanlab's ``normalized_margin`` (Northcutt et al. 2021, arXiv:1911.00068, ranks by the margin).
        """
        margin: np.ndarray = (self.label - self.other + 1) / 2
        return margin


def probabilities(images: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probabilities (m, K) float64 of the images of each shard, with their positions; each pass reads anew."""
    multi_label = bool(images.source.manifest.identity.get("model.multi_label", False))
    for shard, positions in images.shards():
        logits = images.source.read(shard, "prediction")[images.place[positions]].astype(np.float64)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)  # sigmoid is softmax against 0
        yield positions, _sigmoid(logits) if multi_label else _softmax(logits)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(1, keepdims=True)
    return shares


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    values: np.ndarray = 0.5 * (1 + np.tanh(logits / 2))
    return values
