"""The exported rows of a run, in blocks at any rows."""

import numpy as np
import pytest

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.export.run_excerpt import Excerpt, as_slice
from tests.export.conftest import WriteRun
from tests.export.resuming import assert_equal_to_reader

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_any_range_of_rows_equals_the_reader(write_run: WriteRun) -> None:
    run = pipeline.open_run(write_run(targets=2))
    for part in (run, run.where(target=1), run.where(label=0)):
        excerpt = Excerpt.of(part)
        assert_equal_to_reader(excerpt.read(0, len(part)), part)
        whole = excerpt.read(0, len(part))
        for first, end in ((0, 1), (3, 9), (len(part) - 2, len(part)), (len(part) // 2, len(part))):
            for name, values in excerpt.read(first, end).items():
                np.testing.assert_array_equal(values, whole[name][first:end])


def test_blocks_cover_all_rows_once(write_run: WriteRun) -> None:
    excerpt = Excerpt.of(pipeline.open_run(write_run()), 25)
    assert list(excerpt.blocks()) == [(0, 10), (10, 20), (20, 25)]
    assert len(excerpt) == 25 and len(list(excerpt.explanations())) == 25
    assert [one.index for one in excerpt.explanations()] == excerpt.column("index").tolist()


def test_the_digest_depends_on_rows_and_shards(write_run: WriteRun) -> None:
    folder = write_run()
    run = pipeline.open_run(folder)
    digests = [Excerpt.of(run).digest, Excerpt.of(run, 28).digest, Excerpt.of(run.where(label=1)).digest]
    assert len(set(digests)) == 3 and Excerpt.of(pipeline.open_run(folder)).digest == digests[0]
    summary = folder / "shards/000/0000001.json"
    summary.unlink()
    assert Excerpt.of(pipeline.open_run(folder)).digest != digests[0]


def test_nothing_to_export_is_refused(write_run: WriteRun) -> None:
    folder = write_run()
    run = pipeline.open_run(folder)
    with pytest.raises(UsageError, match="no explanation"):
        Excerpt.of(run.where(label=0).where(label=1))
    for path in folder.glob("shards/*/*"):
        path.unlink()
    with pytest.raises(StoreError, match="no published shard yet"):
        Excerpt.of(pipeline.open_run(folder))


@pytest.mark.parametrize(("rows", "expected"), [([4], slice(4, 5)), ([4, 5, 6], slice(4, 7)), ([4, 6], [4, 6])])
def test_consecutive_rows_become_a_slice(rows: list[int], expected: slice | list[int]) -> None:
    selected = as_slice(np.array(rows))
    assert (selected if isinstance(selected, slice) else selected.tolist()) == expected
