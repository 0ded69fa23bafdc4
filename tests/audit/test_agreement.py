"""Agreement of another method: it enters the scores, that of another checkpoint does not."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audit.analyse import analyse
from pipeline.audit.comparison import compare_runs
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import Draw, marked, natural

LABELS = np.repeat(np.arange(3), 20)
LOGITS = 4 * np.eye(3)[LABELS]


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
