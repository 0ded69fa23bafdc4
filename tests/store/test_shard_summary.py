import hashlib
from dataclasses import replace

import numpy as np
import pytest

from pipeline.store.atomic import atomic_write
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.quantile_sketch import Sketch
from pipeline.store.run_files import summary_path
from pipeline.store.shard_summary import encode_summary, sum_summaries, summarize_rows
from pipeline.store.verify import verify
from pipeline.store.writer import Writer
from tests.store import synthetic


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write(folder, targets=2)
    return folder


def test_a_summary_is_of_the_published_file(run):
    summary = Ledger(run, Manifest.open(run)).stored_summary(1)
    data = (run / "shards/000/0000001.h5").read_bytes()
    assert (summary["bytes"], summary["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (summary["range"], summary["rows"], summary["failures"]) == ([10, 20], 20, 0)


def test_classes_count_images_not_targets():
    rows, manifest = synthetic.rows(range(10), targets=2), synthetic.manifest()
    one = rows.take(np.arange(0, len(rows), 2)).columns  # a row per image
    correct = one["predicted"] == one["label"]
    powers = np.exp(one["prediction"].astype(float))
    confidence = (powers / powers.sum(1, keepdims=True)).max(1)
    classes = summarize_rows(rows, manifest)["classes"]
    assert set(classes) == {"0", "1", "2", "3", "4"}
    for label in range(5):
        own = one["label"] == label
        assert classes[str(label)]["n"] == own.sum()
        assert classes[str(label)]["correct"] == correct[own].sum()
        assert classes[str(label)]["confidence_sum"] == pytest.approx(confidence[own].sum())
        assert classes[str(label)]["failures"] == sum(image % 5 == label for image in (3, 7))


def test_the_sums_over_shards_are_those_of_one_large_shard(run):
    ledger = Ledger(run, Manifest.open(run))
    sums = sum_summaries(ledger.summary(shard) for shard in range(5))
    whole = summarize_rows(synthetic.rows(range(50), targets=2), ledger.manifest)
    assert (sums.rows, len(sums.failed), sums.evaluations) == (86, 7, 86 * 50)
    assert [failure.index for failure in sums.failed] == [3, 7, 20, 21, 22, 23, 24]
    assert list(sums.classes) == [int(label) for label in whole["classes"]]
    for label, stored in whole["classes"].items():
        total = sums.classes[int(label)]
        assert (total.n, total.correct, total.failures) == (stored["n"], stored["correct"], stored["failures"])
        assert total.confidence_sum == pytest.approx(stored["confidence_sum"])
        for name, sketch in total.sketches.items():
            assert sketch == Sketch.from_json(stored[name])
    assert sums.classes[0].sketches["convergence_delta"].undefined > 0


def test_a_missing_summary_is_computed(run):
    ledger = Ledger(run, Manifest.open(run))
    written = ledger.stored_summary(0)
    (run / "shards/000/0000000.json").unlink()
    assert ledger.stored_summary(0) is None
    assert ledger.summary(0) == written
    assert ledger.ensure_summary(0) == ledger.stored_summary(0) == written


def test_a_summary_of_an_older_version_is_written_again(run):
    ledger = Ledger(run, Manifest.open(run))
    written = ledger.stored_summary(3)
    older = {name: value for name, value in written.items() if name != "failed"}
    atomic_write(encode_summary({**older, "schema_version": 1}), run / "shards/000/0000003.json")
    assert ledger.summary(3) == written
    assert ledger.stored_summary(3) != written
    assert ledger.ensure_summary(3) == ledger.stored_summary(3) == written


@pytest.fixture
def multi_label(tmp_path):
    """The ledger of a published run whose outputs are independent."""
    own = synthetic.manifest()
    frozen = freeze_manifest(tmp_path, replace(own, identity=own.identity | {"model.multi_label": True}))
    with Writer(tmp_path, frozen, attributes=synthetic.ATTRIBUTES) as writer:
        writer.add(synthetic.rows(range(synthetic.N_IMAGES)))
    return Ledger(tmp_path, frozen)


def test_a_summary_with_the_softmax_of_independent_outputs_is_of_an_older_version(multi_label):
    written = multi_label.stored_summary(1)
    logits = multi_label.rows(1).columns["prediction"].max(1).astype(float)
    sums = [one["confidence_sum"] for one in written["classes"].values()]
    assert sum(sums) == pytest.approx((1 / (1 + np.exp(-logits))).sum())
    older = summarize_rows(multi_label.rows(1), synthetic.manifest())  # as for exclusive classes
    assert "confidence" not in older and older["classes"] != written["classes"]
    older = {name: older.get(name, value) for name, value in written.items() if name != "confidence"}
    atomic_write(encode_summary(older), summary_path(multi_label.run, 1))
    (problem,) = verify(multi_label.run).problems
    assert "written by an older version; task=finish writes it" in problem.text and problem.shard is None
    assert multi_label.ensure_summary(1) == multi_label.stored_summary(1) == written
    assert verify(multi_label.run).problems == []
