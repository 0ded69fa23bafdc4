from pathlib import Path

import numpy as np
import pytest

from pipeline.audit.analyse import analyse
from pipeline.audit.comparison import TOP_CELLS, compare_runs, top_overlap
from pipeline.audit.pooling import GRID
from pipeline.audit.shortcuts import box_of_cells, cells_of_box
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


@pytest.mark.parametrize("there_too", [True, False])
def test_another_method_agrees_or_not(draw: Draw, tmp_path: Path, there_too: bool) -> None:
    generator = np.random.default_rng(0)
    maps, others = natural(generator, len(LABELS)), natural(generator, len(LABELS))
    maps[20:40] = marked(generator, 20)
    if there_too:
        others[20:40] = marked(generator, 20)
    other = draw(others, LABELS, LOGITS, method="saliency").rename(tmp_path / "other")
    here, there = ShardReader(draw(maps, LABELS, LOGITS)), ShardReader(other)
    alone = analyse(here)
    first = compare_runs(alone, here, analyse(there), there).classes[0]
    before = alone.classes[0].shortcut
    assert first.number == 1 and first.shortcut is not None and before is not None
    assert before.agreement is None and first.shortcut.agreement is not None
    parts = [before.border, before.corner, before.place, before.apart]
    assert first.shortcut.score == pytest.approx((sum(parts) + first.shortcut.agreement) / 5)
    assert (first.shortcut.agreement > 0.3) if there_too else (first.shortcut.agreement < 0.05)
    assert (first.shortcut.score > before.score) == there_too


def test_another_checkpoint_is_no_second_opinion(draw: Draw, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    other = draw(natural(generator, len(LABELS)), LABELS, LOGITS).rename(tmp_path / "other")
    here, there = ShardReader(draw(natural(generator, len(LABELS)), LABELS, LOGITS)), ShardReader(other)
    audit = compare_runs(analyse(here), here, analyse(there), there)
    assert all(one.shortcut is not None and one.shortcut.agreement is None for one in audit.classes)


@pytest.mark.parametrize("shape", [(32, 32), (40, 56), (224, 224), (17, 299)])
def test_a_box_is_made_of_the_cells_that_it_was_made_of(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        rows, columns = (slice(*sorted(generator.choice(GRID + 1, 2, replace=False).tolist())) for _ in range(2))
        expected = np.zeros((GRID, GRID), bool)
        expected[rows, columns] = True
        np.testing.assert_array_equal(cells_of_box(box_of_cells(rows, columns, shape), shape), expected.ravel())
