import os
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]
from cleanlab.rank import (  # type: ignore[import-untyped]
    get_normalized_margin_for_each_label,
    get_self_confidence_for_each_label,
)

from pipeline.audit.analyse import analyse
from pipeline.data.class_folders import class_of_folder
from pipeline.data.image_index import index_folder
from pipeline.data.stream import stream
from pipeline.models import demo
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import SIDE, Draw

CLASSES = 5
SAMPLE = Path(os.environ.get("IMAGENET_SAMPLE", Path(__file__).parents[3] / "shared" / "data" / "imagenet-sample"))


@pytest.mark.parametrize("seed", range(3))
def test_doubts_are_those_of_cleanlab(draw: Draw, seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(CLASSES, size=200)
    labels = np.where(generator.random(200) < 0.15, generator.integers(CLASSES, size=200), truth)
    logits = (3 * np.eye(CLASSES)[truth] + generator.normal(0, 1.5, (200, CLASSES))).astype(np.float32)
    audit = analyse(ShardReader(draw(np.zeros((200, SIDE, SIDE)), labels, logits)))
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)
    margin = get_normalized_margin_for_each_label(labels, probabilities)
    np.testing.assert_allclose(audit.arrays.margin, margin, rtol=1e-5)
    confidence = get_self_confidence_for_each_label(labels, probabilities)
    assert [one.row for one in audit.doubts] == [row for row in np.argsort(confidence).tolist() if margin[row] < 0.5]
    issues = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    assert {one.row for one in audit.doubts if one.suggested is not None} == set(np.flatnonzero(issues).tolist())
    assert audit.totals.doubted == issues.sum() > 10


def test_swapped_labels_lead_the_list(draw: Draw) -> None:
    """A tenth of the list has at least four fifths of the labels that were swapped: the shipped form of the claim."""
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(CLASSES), 40)
    swapped = generator.choice(200, 10, replace=False)
    labels = truth.copy()
    labels[swapped] = (truth[swapped] + generator.integers(1, CLASSES, size=10)) % CLASSES
    logits = 3 * np.eye(CLASSES)[truth] + generator.normal(0, 1.3, (200, CLASSES))
    audit = analyse(ShardReader(draw(np.zeros((200, SIDE, SIDE)), labels, logits)))
    assert audit.totals.accuracy is not None and audit.totals.accuracy < 0.93  # the model is wrong elsewhere too
    first = {one.row for one in audit.doubts[:20]}
    assert len(first & set(swapped.tolist())) >= 8


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="needs the ImageNet sample: set IMAGENET_SAMPLE")
def test_swapped_labels_of_photographs_lead_the_list(draw: Draw) -> None:
    """Of 5 % of labels, swapped, four fifths are in the first tenth of the list, though the model errs on more."""
    classifier, index = demo.load(), index_folder(SAMPLE, labels=True)
    truth = class_of_folder(index.folders, 1000, None)[index.folder]
    batches = [list(range(first, min(first + 25, 500))) for first in range(0, 500, 25)]
    read = stream(SAMPLE, index.paths, classifier.preprocessing, batches, num_workers=0, pin_memory=False)
    with torch.no_grad():
        logits = torch.cat([classifier.module(classifier.preprocessing.normalize(one.pixels / 255)) for one in read])
    generator = np.random.default_rng(0)
    swapped = generator.choice(500, 25, replace=False)
    labels = truth.copy()
    labels[swapped] = (truth[swapped] + generator.integers(1, 1000, size=25)) % 1000
    audit = analyse(ShardReader(draw(np.zeros((500, SIDE, SIDE)), labels, logits.numpy())))
    first = {one.row for one in audit.doubts[:50]}
    assert len(first & set(swapped.tolist())) >= 20, len(first & set(swapped.tolist()))
