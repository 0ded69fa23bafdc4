"""Probabilities of each image's label, of its prediction, and of the best other class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.audit.image_table import ImageTable


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
    def read(cls, images: ImageTable) -> "ClassProbabilities":
        """Read the stored logits shard by shard."""
        probabilities = cls(*(np.full(len(images), np.nan) for _ in range(3)))
        for positions, probability in read_probabilities(images):
            label, row = images.columns["label"][positions], np.arange(len(positions))
            probabilities.predicted[positions] = probability[row, images.columns["predicted"][positions]]
            known = label >= 0
            probabilities.label[positions[known]] = probability[row[known], label[known]]
            probability[row[known], label[known]] = -1  # below every other class
            probabilities.other[positions[known]] = probability[known].max(1, initial=0)
        return probabilities

    @property
    def margin(self) -> np.ndarray:
        """Normalised margin of the label, in [0, 1]: (p(label) - p(best other) + 1) / 2, below 1/2 if another wins.

        As cleanlab's ``normalized_margin`` (Northcutt et al. 2021, arXiv:1911.00068, ranks by the margin).
        """
        margin: np.ndarray = (self.label - self.other + 1) / 2
        return margin


def read_probabilities(images: ImageTable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions (m,) and class probabilities (m, classes), float64, of each shard's images; every pass reads again."""
    space = images.source.manifest.output_space
    for shard, positions in images.shards():
        logits = images.source.read(shard, "prediction")[images.place[positions]]
        yield positions, space.probabilities(logits)
