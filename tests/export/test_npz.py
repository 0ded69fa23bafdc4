"""The export as .npz files: all columns, resumed where it was stopped."""

import json
import os

import numpy as np
import pytest

import pipeline
from pipeline.export import export
from tests.export.conftest import KEPT, SIDE, WINDOWS, WriteRun
from tests.export.resuming import assert_equal_to_reader, interrupted_export, modification_times

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize("geometry", [KEPT, WINDOWS], ids=["pixels", "windows"])
def test_npz_has_all_columns_with_maps_at_the_input_size(write_run: WriteRun, geometry: dict) -> None:
    run = pipeline.open_run(write_run(geometry, targets=2))
    folder = interrupted_export(run, "npz", checks=4)
    before = modification_times(folder)
    assert [path.name for path in sorted(before) if path.suffix == ".npz"] == [
        f"rows-{first:02d}-{first + 9:02d}.npz" for first in (0, 10, 20)
    ]
    assert export(run, "npz") == folder
    after = modification_times(folder)
    assert after.items() > before.items() and len(after) == 7
    loaded = [dict(np.load(path, allow_pickle=False)) for path in sorted(folder.glob("*.npz"))]
    attributes = [json.loads(str(block.pop("attributes"))) for block in loaded]
    assert attributes[0] == attributes[5] and attributes[0]["method"] == "ig"
    assert attributes[0]["class_names"][0] == "tench"
    columns = {name: np.concatenate([block[name] for block in loaded]) for name in loaded[0]}
    assert columns["attribution"].shape == (58, 3 if geometry is KEPT else 1, SIDE, SIDE)
    assert_equal_to_reader(columns, run)
    assert [os.fsdecode(path) for path in columns["path"].tolist()] == [
        str(explanation.path.relative_to(os.fsdecode(run.manifest.root))) for explanation in run
    ]
    export(run, "npz")
    assert modification_times(folder) == after


def test_only_maps_of_a_coarser_grid_are_compressed(write_run: WriteRun) -> None:
    for geometry, compressed in ((KEPT, False), (WINDOWS, True)):
        run = write_run(geometry)
        path = next(export(pipeline.open_run(run), "npz", folder=run.parent / f"out-{compressed}").glob("*.npz"))
        with np.load(path) as block:
            size = sum(block[name].nbytes for name in block.files)
        assert (path.stat().st_size < size) is compressed
        for file in sorted(run.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
