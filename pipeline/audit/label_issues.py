"""Label issues by confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068)."""

import os

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities, read_probabilities
from pipeline.audit.image_findings import LabelIssue
from pipeline.audit.image_table import ImageTable
from pipeline.models.class_names import class_name


def suggested_labels(images: ImageTable, probabilities: ClassProbabilities) -> np.ndarray:
    """Suggested label of each image by confident learning, int32 (n,); -1 where the label is not in doubt.

    The threshold of a class is its mean probability over the images with that label (eq. 2). An image counts as of the
    most probable class among those whose threshold its probabilities reach (eq. 1); if that is not its label, the label
    is in doubt, unless the model predicts it. Images that reach no threshold keep their label.
    """
    threshold = class_thresholds(images, probabilities)
    suggested = np.full(len(images), -1, np.int32)
    for positions, probability in read_probabilities(images):
        reaches = probability >= threshold - 1e-6  # the tolerance of cleanlab's confident joint
        best = np.where(reaches, probability, -1).argmax(1)
        label = images.columns["label"][positions]
        doubted = reaches.any(1) & (label >= 0) & (best != label) & ~images.correct[positions]
        suggested[positions[doubted]] = best[doubted]
    return suggested


def label_issues(
    images: ImageTable, probabilities: ClassProbabilities, suggested: np.ndarray, limit: int
) -> list[LabelIssue]:
    """Images whose label has a lower probability than another class, the lowest first."""
    margin, manifest = probabilities.margin, images.source.manifest
    lower = np.flatnonzero(margin < 0.5)  # False for NaN, of images without a label
    listed = lower[np.argsort(probabilities.label[lower], kind="stable")][:limit]
    columns = images.columns
    return [
        LabelIssue(
            row=int(images.row[position]),
            path=os.fsdecode(manifest.paths[int(columns["index"][position])]),
            label=(label := int(columns["label"][position])),
            label_name=class_name(manifest.class_names, label),
            predicted=(predicted := int(columns["predicted"][position])),
            predicted_name=class_name(manifest.class_names, predicted),
            self_confidence=float(probabilities.label[position]),
            margin=float(margin[position]),
            suggested=int(suggested[position]) if suggested[position] >= 0 else None,
        )
        for position in listed.tolist()
    ]


def class_thresholds(images: ImageTable, probabilities: ClassProbabilities) -> np.ndarray:
    """Mean self-confidence of each label's images, float64 (classes,); infinity for a label without images."""
    label = images.columns["label"]
    known, classes = label >= 0, images.source.manifest.output_space.n_classes
    sums = np.bincount(label[known], probabilities.label[known], minlength=classes)
    counts = np.bincount(label[known], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
