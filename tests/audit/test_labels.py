import numpy as np
import pytest
from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]
from cleanlab.rank import get_normalized_margin_for_each_label  # type: ignore[import-untyped]

from pipeline.audit.survey import survey
from pipeline.store.source import Source
from tests.audit.conftest import SIDE, Draw

CLASSES = 5


@pytest.mark.parametrize("seed", range(3))
def test_doubts_are_those_of_cleanlab(draw: Draw, seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(CLASSES, size=200)
    labels = np.where(generator.random(200) < 0.15, generator.integers(CLASSES, size=200), truth)
    logits = (3 * np.eye(CLASSES)[truth] + generator.normal(0, 1.5, (200, CLASSES))).astype(np.float32)
    audit = survey(Source(draw(np.zeros((200, SIDE, SIDE)), labels, logits)))
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)
    margin = get_normalized_margin_for_each_label(labels, probabilities)
    np.testing.assert_allclose(audit.arrays.margin, margin, rtol=1e-5)
    assert [one.row for one in audit.doubts] == np.argsort(margin)[: np.sum(margin < 0.5)].tolist()
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
    audit = survey(Source(draw(np.zeros((200, SIDE, SIDE)), labels, logits)))
    assert audit.totals.accuracy is not None and audit.totals.accuracy < 0.93  # the model is wrong elsewhere too
    first = {one.row for one in audit.doubts[:20]}
    assert len(first & set(swapped.tolist())) >= 8
