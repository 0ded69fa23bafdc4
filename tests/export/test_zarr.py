"""The export as a Zarr group, read by zarr; partial until it is complete."""

import sys

import pytest
import zarr

import pipeline
from pipeline.errors import MissingExtra
from pipeline.export import export
from tests.export.conftest import SIDE, WriteRun
from tests.export.resuming import assert_equal_to_reader, interrupted_export, modification_times

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_the_group_has_all_columns_and_is_resumed(write_run: WriteRun) -> None:
    run = pipeline.open_run(write_run(targets=2))
    folder = interrupted_export(run, "zarr", checks=4)
    assert [path.name for path in sorted(folder.iterdir())] == ["export.json", "run.zarr.part"]
    assert zarr.open_group(folder / "run.zarr.part", mode="r").attrs["rows_written"] == 30
    path = export(run, "zarr")
    assert sorted(path.parent.iterdir()) == [folder / "export.json", folder / "run.zarr"]
    group = zarr.open_group(path, mode="r")
    maps = group["attribution"]
    assert maps.metadata.zarr_format == 3 and maps.shape == (58, 1, SIDE, SIDE)
    assert maps.chunks == (1, 1, SIDE, SIDE) and maps.metadata.dimension_names == ("row", "channel", "height", "width")
    assert group.attrs["method"] == "ig" and "rows_written" not in group.attrs
    assert_equal_to_reader({name: array[:] for name, array in group.arrays()}, run)
    assert group["path"][0] == "n01440764/0000.png"
    before = modification_times(folder)
    export(run, "zarr")
    assert modification_times(folder) == before


def test_a_missing_zarr_names_the_extra(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtra, match=r"task\.format=zarr needs the extra 'zarr'"):
        export(pipeline.open_run(folder), "zarr")
    assert not (folder / "export").exists()
