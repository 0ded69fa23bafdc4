"""Columns in parts, and virtual datasets over parts and shards that can be moved with them."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import pipeline
from pipeline.export.column_parts import column_part_path, missing_parts, part_spans, shard_spans, write_part
from pipeline.export.run_excerpt import Excerpt
from pipeline.store.virtual_dataset import create_virtual_dataset
from tests.export.conftest import WriteRun

pytestmark = pytest.mark.usefixtures("small_blocks")


def read_virtual(file: Path, name: str, empty: np.ndarray, spans: list) -> np.ndarray:
    """A virtual dataset that is written into a file, and read through it."""
    with h5py.File(file, "w") as writable:
        shape = (spans[-1].start + spans[-1].count, *empty.shape[1:])
        create_virtual_dataset(writable, name, empty, spans=spans, shape=shape, fill=-7)
    with h5py.File(file, "r", locking=False) as readable:  # as the store opens the shards: HDF5 mixes no two locks
        return readable[name][:]


def test_parts_are_written_once_and_read_as_one_column(write_run: WriteRun, tmp_path: Path) -> None:
    excerpt = Excerpt.of(pipeline.open_run(write_run()))
    folder, values = tmp_path / "out", np.random.default_rng(0).normal(size=(29, 2, 3))
    assert missing_parts(excerpt, folder, "noise") == [(0, 10), (10, 20), (20, 29)]
    write_part(column_part_path(folder, "noise", 10), "noise", values[10:20], {})
    assert missing_parts(excerpt, folder, "noise") == [(0, 10), (20, 29)]
    for first, end in missing_parts(excerpt, folder, "noise"):
        write_part(column_part_path(folder, "noise", first), "noise", values[first:end], {"compression": "gzip"})
    assert missing_parts(excerpt, folder, "noise") == []
    spans = list(part_spans(excerpt, "noise"))
    assert np.array_equal(read_virtual(folder / "all.h5", "noise", values[:0], spans), values)


@pytest.mark.parametrize("inside", [True, False])
def test_shards_are_found_from_the_export(write_run: WriteRun, tmp_path: Path, inside: bool) -> None:
    folder = Path(shutil.move(write_run(), tmp_path / "100%b %%"))
    run = pipeline.open_run(folder)
    excerpt = Excerpt.of(run.where(label=0))
    export = (folder if inside else tmp_path) / "out" / "virelay"
    export.mkdir(parents=True)
    spans = list(shard_spans(excerpt, export))
    assert all(Path(os.fsdecode(span.path)).is_absolute() is not inside for span in spans)
    expected = run.where(label=0).table()["index"]
    # rows of a class are consecutive within a shard, except where another image stands between
    assert sum(span.count for span in spans) == len(expected) and len(spans) < len(expected)
    assert np.array_equal(read_virtual(export / "all.h5", "index", expected[:0], spans), expected)
    if inside:
        moved = folder.rename(tmp_path / "moved") / "out/virelay/all.h5"
        with h5py.File(moved, "r", locking=False) as file:
            assert np.array_equal(file["index"][:], expected)
