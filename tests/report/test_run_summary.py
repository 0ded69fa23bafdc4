"""The numbers of a run and of its classes equal those counted in its rows."""

import hashlib

import numpy as np
import pytest

from pipeline.report.derived_files import finish
from pipeline.store.quantile_sketch import ACCURACY
from pipeline.store.run_files import shard_path

from .conftest import CLASS_NAMES, LABELS, MakeRun, deltas


def test_counts_and_quantiles_are_those_of_the_rows(make_run: MakeRun) -> None:
    summary = finish(make_run())
    by_name = {one.name: one for one in summary.classes}
    assert [one.name for one in summary.classes] == CLASS_NAMES
    assert [(one.label, one.n, one.failures) for one in summary.classes] == [(0, 3, 0), (1, 3, 0), (2, 1, 1)]
    assert by_name["tabby"].accuracy == pytest.approx(2 / 3)
    assert summary.overall.accuracy == pytest.approx(6 / 7)
    assert summary.overall.confidence == pytest.approx(0.5)
    magnitudes = np.abs(deltas(np.array([0, 1, 2, 3, 4, 6])))
    expected = np.quantile(magnitudes, [0.05, 0.5, 0.95])
    quantiles = (summary.overall.delta_5, summary.overall.delta_50, summary.overall.delta_95)
    np.testing.assert_allclose(quantiles, expected, rtol=1.01 * ACCURACY)
    estimates = np.array([0, 1, 2, 3, 4, 6]) / 100
    quantiles = (summary.overall.error_50, summary.overall.error_95)
    np.testing.assert_allclose(quantiles, np.quantile(estimates, [0.5, 0.95]), rtol=1.01 * ACCURACY)
    assert by_name["jay"].delta_50 == pytest.approx(0.6, rel=ACCURACY)
    assert (summary.images, summary.published, summary.explanations, summary.failures) == (8, 8, 7, 1)
    assert summary.evaluations == 7 * 21 and summary.complete


def test_several_targets_are_one_image_each(make_run: MakeRun) -> None:
    summary = finish(make_run(targets=3))
    assert (summary.overall.n, summary.explanations) == (7, 21)
    assert summary.overall.accuracy == pytest.approx(6 / 7)


def test_the_digest_is_of_the_published_files(make_run: MakeRun) -> None:
    run = make_run()
    digests = [hashlib.sha256(shard_path(run, shard).read_bytes()).hexdigest() for shard in range(3)]
    assert finish(run).sha256 == hashlib.sha256("".join(digests).encode()).hexdigest()


def test_missing_shards_are_listed(make_run: MakeRun) -> None:
    summary = finish(make_run(shards=(0, 2)))
    assert (summary.missing_shards, summary.published, summary.complete) == ([1], 5, False)
    assert finish(make_run(shards=(1,))).complete


def test_a_run_without_a_shard_has_a_summary_of_nothing(make_run: MakeRun) -> None:
    summary = finish(make_run(shards=()))
    assert (summary.published, summary.classes, summary.overall.accuracy) == (0, [], None)


def test_images_without_labels_have_no_accuracy(make_run: MakeRun) -> None:
    summary = finish(make_run(labels=np.full_like(LABELS, -1)))
    assert [(one.name, one.n, one.accuracy) for one in summary.classes] == [("(no label)", 7, None)]
    assert summary.overall.accuracy is None
