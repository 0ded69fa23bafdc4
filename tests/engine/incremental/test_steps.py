"""Steps that work position by position, and the union of boxes where maps are joined."""

import torch

from pipeline.engine.incremental.boxes import RowLayout
from pipeline.engine.incremental.steps import Affine, Clamp, Join, Pad, Pointwise

SHAPE = (6, 7)
ONE = torch.arange(1)
NO_IMAGE = torch.zeros(1, dtype=torch.int64)


def layout(*box: int) -> RowLayout:
    return RowLayout(torch.tensor([box]), SHAPE, ONE, NO_IMAGE, 1)


def test_pointwise_steps_keep_their_boxes() -> None:
    rows, out = torch.tensor([[-2.0, 3.0], [0.5, 9.0]]), torch.empty(2, 2)
    scale, shift = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0])
    for step, expected in (
        (Pointwise(torch.abs), rows.abs()),
        (Clamp(0.0, 6.0), rows.clamp(0, 6)),
        (Clamp(None, 1.0), rows.clamp(max=1)),
        (Affine(scale, shift), rows * scale + shift),
    ):
        source = layout(1, 2, 2, 4)
        assert step.layout([source]) is source and step.reads_tables([source], source) == [False]
        step.run([rows], [rows], None, out)
        assert torch.equal(out, expected)


def test_padding_moves_the_box() -> None:
    moved = Pad((2, 1), (9, 8)).layout([layout(1, 2, 3, 5)])
    assert moved.boxes.tolist() == [[3, 3, 5, 6]] and moved.shape == (9, 8)


def test_a_join_reads_the_table_of_the_source_with_the_smaller_box() -> None:
    small, large = layout(1, 1, 2, 2), layout(0, 1, 2, 3)
    join = Join(torch.add)
    target = join.layout([small, large])
    assert target is large and join.reads_tables([small, large], target) == [True, False]
    positions = SHAPE[0] * SHAPE[1]
    tables = [torch.arange(float(positions + 2 + source.rows))[:, None] for source in (small, large)]
    rows = [table[source.clean_rows :] for table, source in zip(tables, (small, large), strict=True)]
    out = torch.empty(target.rows, 1)
    join.run(tables, rows, join.plan([small, large], target), out)
    clean = [1.0, 2.0, 8.0, 9.0]  # of positions (0, 1), (0, 2), (1, 1), (1, 2) in the first map
    clean[2] = float(small.clean_rows)  # which its window has changed
    assert out[:, 0].tolist() == [one + other for one, other in zip(clean, rows[1][:, 0].tolist(), strict=True)]


def test_a_join_of_boxes_apart_has_one_around_both() -> None:
    one, other = layout(0, 0, 1, 1), layout(3, 4, 5, 6)
    target = Join(None).layout([one, other])
    assert target.boxes.tolist() == [[0, 0, 5, 6]]
    assert Join(None).reads_tables([one, other], target) == [True, True]
