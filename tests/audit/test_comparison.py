"""Comparison of two runs whose maps are drawn here."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audit.analyse import analyse
from pipeline.audit.comparison import TOP_CELLS, compare_runs, top_overlap
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import Draw, marked, natural

LABELS = np.repeat(np.arange(3), 20)
LOGITS = 4 * np.eye(3)[LABELS]


def test_overlap_by_hand() -> None:
    maps, others = np.zeros((2, 1, 256))
    maps[0, :TOP_CELLS], others[0, 5 : TOP_CELLS + 5] = 1, 1
    assert top_overlap(maps, maps) == 1
    assert top_overlap(maps, others) == pytest.approx((TOP_CELLS - 5) / TOP_CELLS)


def test_the_class_that_moved_is_named(draw: Draw, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    before = natural(generator, len(LABELS))
    after = before.copy()
    after[20:40] = marked(generator, 20)
    other = draw(before, LABELS, LOGITS).rename(tmp_path / "before")
    run = draw(after, LABELS, LOGITS)
    there, here = ShardReader(other), ShardReader(run)
    audit = compare_runs(analyse(here), here, analyse(there), there)
    assert audit.comparison is not None and audit.comparison.images == len(LABELS)
    moved, *others = audit.comparison.classes
    assert (moved.number, moved.suspect, moved.images) == (1, "appeared", 20)
    assert moved.correlation is not None and moved.correlation < 0.9 and moved.accuracy == 0
    for one in others:
        assert one.suspect == "neither" and one.mean_overlap == pytest.approx(1)
        assert (one.correlation, one.overlap) == (pytest.approx(1), 1)
