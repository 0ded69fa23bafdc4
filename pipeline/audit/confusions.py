"""Confusions: pairs of a label and a wrong prediction."""

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.image_findings import Confusion
from pipeline.audit.image_table import ImageTable
from pipeline.models.class_names import class_name

EXAMPLES = 6
"""Rows of a confusion."""


def confusions(images: ImageTable, probabilities: ClassProbabilities, limit: int) -> list[Confusion]:
    """Pairs of label and wrong prediction by number of images, the most first, then by share of the label's images."""
    label, predicted = images.columns["label"], images.columns["predicted"]
    wrong = np.flatnonzero(images.labelled & ~images.correct)
    wrong = wrong[np.argsort(-probabilities.predicted[wrong], kind="stable")]
    pairs, pair, counts = np.unique(
        np.stack([label[wrong], predicted[wrong]], 1), axis=0, return_inverse=True, return_counts=True
    )
    sizes = np.bincount(label[images.labelled], minlength=1)
    shares = counts / sizes[pairs[:, 0]] if len(pairs) else np.empty(0)
    first = np.lexsort((-shares, -counts))[:limit]
    return [
        Confusion(
            label=int(pairs[number, 0]),
            label_name=class_name(images.source.manifest.class_names, int(pairs[number, 0])),
            predicted=int(pairs[number, 1]),
            predicted_name=class_name(images.source.manifest.class_names, int(pairs[number, 1])),
            images=int(counts[number]),
            share=float(shares[number]),
            rows=images.row[wrong[pair.ravel() == number][:EXAMPLES]].tolist(),
        )
        for number in first.tolist()
    ]
