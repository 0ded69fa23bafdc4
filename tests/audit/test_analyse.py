"""Runs whose maps were drawn: what is in them is known."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.audit.analyse import analyse
from pipeline.audit.audit_files import open_audit, write_audit
from pipeline.audit.faithfulness import MAX_RELATIVE_DELTA
from pipeline.audit.pooled_maps import SMOOTHING
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import SIDE, Draw, marked, natural
from tests.conftest import Status

CLASSES, IMAGES = 4, 30
LABELS = np.repeat(np.arange(CLASSES), IMAGES)


def logits_of(predicted: np.ndarray) -> np.ndarray:
    return 4 * np.eye(CLASSES)[predicted]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_cluster_in_the_corner_is_found_and_ranks_first(draw: Draw, generator: np.random.Generator) -> None:
    maps = natural(generator, len(LABELS))
    maps[60:68] = marked(generator, 8)
    audit = analyse(ShardReader(draw(maps, LABELS, logits_of(LABELS))))
    first, second = audit.classes[:2]
    assert first.number == 2 and first.shortcut is not None and second.shortcut is not None
    assert first.shortcut.suspect and not second.shortcut.suspect
    assert first.shortcut.score > 3 * second.shortcut.score
    assert audit.totals.suspects == 1
    cluster = first.clusters[first.shortcut.cluster or 0]
    assert (cluster.images, cluster.accuracy, cluster.predicted) == (8, 1, 2)
    members = audit.arrays.row[(audit.arrays.group == 2) & (audit.arrays.cluster == cluster.number)]
    assert sorted(members) == list(range(60, 68)) and set(cluster.rows) == set(members.tolist())
    top, left, bottom, right = first.shortcut.box
    assert (bottom, right) <= (SIDE, SIDE) and top >= SIDE - 12 and left >= SIDE - 12
    assert first.shortcut.mass == pytest.approx(0.65, abs=0.15)
    assert sum(cluster.images for cluster in first.clusters) == IMAGES


def test_without_it_nothing_is_a_suspect(draw: Draw, generator: np.random.Generator) -> None:
    audit = analyse(ShardReader(draw(natural(generator, len(LABELS)), LABELS, logits_of(LABELS))))
    assert audit.totals.suspects == 0
    assert sum(len(one.clusters) == 1 for one in audit.classes) >= CLASSES - 1
    assert all(cluster.apart < 0.1 for one in audit.classes for cluster in one.clusters)


def test_numbers_of_a_class_by_hand(draw: Draw, generator: np.random.Generator) -> None:
    predicted = LABELS.copy()
    predicted[[0, 1, 2]] = [1, 1, 3]
    maps = natural(generator, len(LABELS))
    maps[5] = -1  # nothing speaks for the class
    deltas = np.where(LABELS == 0, 0.1, 2.0).astype(np.float32)
    folder = draw(maps, LABELS, logits_of(predicted), convergence_delta=deltas)
    audit = analyse(ShardReader(folder))
    zero = next(one for one in audit.classes if one.number == 0)
    sure = np.exp(4) / (np.exp(4) + 3)
    assert zero.images == IMAGES and zero.zero_maps == 1 and zero.accuracy == pytest.approx(27 / 30)
    assert zero.confidence == pytest.approx(sure)
    assert zero.self_confidence == pytest.approx((27 * sure + 3 * sure / np.exp(4)) / 30)
    assert [(one.label, one.predicted, one.images, one.share) for one in audit.confusions] == [
        (0, 1, 2, pytest.approx(2 / 30)),
        (0, 3, 1, pytest.approx(1 / 30)),
    ]
    assert 2.0 / 4 > MAX_RELATIVE_DELTA > 0.1 / 4
    assert zero.unfaithful == 0 and audit.totals.unfaithful_share == pytest.approx(0.75)
    assert {one.row for one in audit.doubts} == {0, 1, 2} == {one.row for one in audit.doubts if one.suggested}
    mean = audit.arrays.mean[zero.mean]
    cells = np.delete(maps[:30], 5, 0).reshape(29, 16, 2, 16, 2).mean((2, 4))
    positive = np.maximum(gaussian_filter(cells, SMOOTHING, truncate=2, mode="mirror", axes=(1, 2)), 0)
    np.testing.assert_allclose(mean, (positive / positive.sum((1, 2), keepdims=True)).mean(0), rtol=1e-4)


def test_an_image_unlike_its_class_stands_out(draw: Draw, generator: np.random.Generator) -> None:
    maps = natural(generator, len(LABELS))
    maps[7] = np.where(np.arange(SIDE) < 4, 1, 0)
    audit = analyse(ShardReader(draw(maps, LABELS, logits_of(LABELS))))
    assert audit.outliers[0].row == 7 and audit.outliers[0].number == 0


def test_classes_whose_maps_coincide(draw: Draw, generator: np.random.Generator) -> None:
    maps = natural(generator, len(LABELS))
    maps[np.isin(LABELS, (1, 3)), :8] += 1
    audit = analyse(ShardReader(draw(maps, LABELS, logits_of(LABELS))))
    assert (audit.alike[0].first, audit.alike[0].second) == (1, 3) and audit.alike[0].similarity > 0.9


def test_unlabelled_images_are_looked_at_with_what_is_predicted(draw: Draw, generator: np.random.Generator) -> None:
    folder = draw(natural(generator, len(LABELS)), np.full(len(LABELS), -1), logits_of(LABELS[::-1]))
    write_audit(analyse(ShardReader(folder)), folder)
    audit = open_audit(folder)
    assert [one.images for one in audit.classes] == [IMAGES] * CLASSES
    assert audit.totals.accuracy is None and audit.totals.doubted_share is None and not audit.doubts
    assert all(one.accuracy is None and one.clusters[0].accuracy is None for one in audit.classes)


def test_a_run_whose_images_all_failed_has_an_audit(explain: Status, tmp_path: Path) -> None:
    steep = ("model.factory=tiny_networks:steep", "model.weights=null")  # its gradient is infinite
    assert explain("method=saliency", *steep) == 3
    assert explain("task=audit", f"run={tmp_path / 'run'}", "task.checks=0") == 0
    audit = open_audit(tmp_path / "run")
    assert audit.run.audited == 0 and audit.run.failures == 12 and audit.totals.accuracy is None
