"""Labels in doubt: confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068)."""

import os

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities, probabilities
from pipeline.audit.image_findings import LabelIssue
from pipeline.audit.image_table import Images
from pipeline.report.run_summary import class_name


def suggestions(images: Images, confidence: ClassProbabilities) -> np.ndarray:
    """The class that each image's label should be by confident learning, int32 (n,); -1 where the label may stand.

    The threshold of a class is the mean probability of it over the images that are labelled so (eq. 2). An image counts
    as of the likeliest class among those whose threshold its probabilities reach (eq. 1); where that is not its label,
    the label is in doubt, unless the model predicts it. Images that reach no threshold are left alone.
    """
    threshold = thresholds(images, confidence)
    suggested = np.full(len(images), -1, np.int32)
    for positions, probability in probabilities(images):
        reached = probability >= threshold[: probability.shape[1]] - 1e-6
        likeliest = np.where(reached, probability, -1).argmax(1)
        label = images.columns["label"][positions]
        doubted = reached.any(1) & (label >= 0) & (likeliest != label) & ~images.correct[positions]
        suggested[positions[doubted]] = likeliest[doubted]
    return suggested


def doubts(images: Images, confidence: ClassProbabilities, suggested: np.ndarray, limit: int) -> list[LabelIssue]:
    """The images whose label another class beats, those that the model gives least to first."""
    margin, manifest = confidence.margin, images.source.manifest
    beaten = np.flatnonzero(margin < 0.5)  # NaN, of images without a label, is not
    wanted = beaten[np.argsort(confidence.label[beaten], kind="stable")][:limit]
    columns = images.columns
    return [
        LabelIssue(
            row=int(images.row[position]),
            path=os.fsdecode(manifest.paths[int(columns["index"][position])]),
            label=(label := int(columns["label"][position])),
            label_name=class_name(manifest, label),
            predicted=(predicted := int(columns["predicted"][position])),
            predicted_name=class_name(manifest, predicted),
            self_confidence=float(confidence.label[position]),
            margin=float(margin[position]),
            suggested=int(suggested[position]) if suggested[position] >= 0 else None,
        )
        for position in wanted.tolist()
    ]


def thresholds(images: Images, confidence: ClassProbabilities) -> np.ndarray:
    """Mean self-confidence of the images of each label, float64; infinity for classes that no image is labelled as."""
    label = images.columns["label"]
    known = label >= 0
    classes = 1 + max(int(images.columns["predicted"].max(initial=0)), int(label.max(initial=0)), _outputs(images) - 1)
    sums = np.bincount(label[known], confidence.label[known], minlength=classes)
    counts = np.bincount(label[known], minlength=classes)
    found = np.full(classes, np.inf)
    found[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return found


def _outputs(images: Images) -> int:
    return max(
        (images.source.read(shard, "prediction", slice(0, 1)).shape[1] for shard, _ in images.shards()), default=0
    )
