"""Exports as PNG, NumPy and Zarr say what the reader says, go on where they stopped, and refuse what cannot be."""

import csv
import json
import os
import signal
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from PIL import Image

import pipeline
from pipeline.errors import MissingExtra, StoreError, UsageError
from pipeline.export import excerpt, export
from pipeline.export.png import STEPS, ZERO
from pipeline.store.atomic import DiskFull
from pipeline.store.reader import Run
from pipeline.system.remote import locate
from pipeline.system.signals import Stopped, StopRequest
from pipeline.tasks import perform
from tests.conftest import Compose, Status
from tests.export.conftest import KEPT, SIDE, WINDOWS, Lay


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks, which are no shards."""
    monkeypatch.setattr(excerpt, "ROWS", 10)
    monkeypatch.setattr("pipeline.export.zarr.ROWS", 10)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def interrupted(run: Run, format: str, checks: int) -> Path:
    """The folder of an export that was stopped at its last of so many checks."""

    class Late(StopRequest):
        left = checks

        def check(self) -> None:
            self.left -= 1
            if not self.left:
                self.receive(signal.SIGTERM, None)
            super().check()

    stop = Late()
    with pytest.raises(Stopped), stop.held():
        stop.left = checks
        export(run, format, stop=stop)
    return run.folder / "export" / format


def assert_same(columns: dict[str, np.ndarray], run: Run) -> None:
    """Holds columns as an excerpt gives them against the reader."""
    maps = np.stack([explanation.map for explanation in run])
    np.testing.assert_allclose(columns["attribution"], maps, rtol=1e-5, atol=1e-6)
    table = run.table()
    assert columns.keys() == table.keys() - {"scale", "features"} | {"attribution", "path"}
    for name, values in table.items():
        if name not in ("scale", "features"):
            np.testing.assert_array_equal(columns[name], values)
            assert columns[name].dtype == values.dtype


@pytest.mark.parametrize(("geometry", "dtype"), [(KEPT, "float16"), (WINDOWS, "float16")])
def test_npz_has_all_columns_with_maps_at_the_input_size(lay: Lay, geometry: dict, dtype: str) -> None:
    run = pipeline.open_run(lay(geometry, dtype=dtype, targets=2))
    folder = interrupted(run, "npz", checks=4)
    before = times(folder)
    assert [path.name for path in sorted(before) if path.suffix == ".npz"] == [
        f"rows-{first:02d}-{first + 9:02d}.npz" for first in (0, 10, 20)
    ]
    assert export(run, "npz") == folder
    after = times(folder)
    assert after.items() > before.items() and len(after) == 7
    loaded = [dict(np.load(path, allow_pickle=False)) for path in sorted(folder.glob("*.npz"))]
    attributes = [json.loads(str(one.pop("attributes"))) for one in loaded]
    assert attributes[0] == attributes[5] and attributes[0]["method"] == "ig"
    assert attributes[0]["class_names"][0] == "tench"
    columns = {name: np.concatenate([one[name] for one in loaded]) for name in loaded[0]}
    assert columns["attribution"].shape == (58, 3 if geometry is KEPT else 1, SIDE, SIDE)
    assert_same(columns, run)
    assert [os.fsdecode(path) for path in columns["path"].tolist()] == [
        str(explanation.path.relative_to(os.fsdecode(run.manifest.root))) for explanation in run
    ]
    export(run, "npz")
    assert times(folder) == after
    some = run.where(target=1)
    assert_same(excerpt.Excerpt.of(some).read(0, len(some)), some)


def test_zarr_is_one_group_that_zarr_reads(lay: Lay) -> None:
    run = pipeline.open_run(lay(targets=2))
    folder = interrupted(run, "zarr", checks=4)
    assert [path.name for path in sorted(folder.iterdir())] == ["export.json", "run.zarr.part"]
    path = export(run, "zarr")
    assert sorted(path.parent.iterdir()) == [folder / "export.json", folder / "run.zarr"]
    group = zarr.open_group(path, mode="r")
    maps = group["attribution"]
    assert maps.metadata.zarr_format == 3 and maps.shape == (58, 1, SIDE, SIDE)
    assert maps.chunks == (1, 1, SIDE, SIDE) and maps.metadata.dimension_names == ("row", "channel", "height", "width")
    assert group.attrs["method"] == "ig" and "rows_written" not in group.attrs
    assert_same({name: array[:] for name, array in group.arrays()}, run)
    assert group["path"][0] == "n01440764/0000.png"
    before = times(folder)
    export(run, "zarr")
    assert times(folder) == before


def test_png_gives_the_values_back(lay: Lay) -> None:
    run = pipeline.open_run(lay(KEPT, dtype="float32"))
    folder = interrupted(run, "png", checks=13)
    before = times(folder)
    assert len(before) == 13
    path = export(run, "png")
    assert times(folder).items() > before.items()
    lines = list(csv.DictReader(path.read_text().splitlines()))
    assert len(lines) == len(run) == len(list(folder.glob("*.png")))
    for line, explanation in zip(lines, run, strict=True):
        with Image.open(folder / line["file"]) as picture:
            assert picture.mode == "I;16"
            grey = np.asarray(picture).astype(np.float64)
        scale, map_ = float(line["scale"]), explanation.map.sum(0)
        assert grey.max() == ZERO + STEPS or grey.min() == ZERO - STEPS
        assert np.abs((grey - ZERO) * scale / STEPS - map_).max() <= scale / (2 * STEPS) * 1.001
        told = [line["path"].rpartition("/")[2], int(line["image"]), int(line["target"]), line["class_name"]]
        assert told == [explanation.path.name, explanation.index, explanation.target, explanation.class_name]
        assert np.float32(line["score"]) == np.float32(explanation.score)


def test_a_map_of_zeros_is_the_grey_of_zero(lay: Lay) -> None:
    from pipeline.export.png import grey

    assert np.all(grey(np.zeros((2, 2), np.float32), 0.0) == ZERO)
    assert grey(np.array([[-2, 0, 2]], np.float32), 2.0).tolist() == [[1, 32768, 65535]]


def test_another_export_is_not_mixed_in(lay: Lay, tmp_path: Path) -> None:
    run = pipeline.open_run(lay())
    folder = tmp_path / "out"
    export(run, "npz", folder=folder, limit=3)
    for other in (lambda: export(run, "png", folder=folder), lambda: export(run, "npz", folder=folder)):
        with pytest.raises(UsageError, match="holds another export"):
            other()
    export(run, "npz", folder=folder, limit=3)
    (folder / "export.json").write_text("{")
    with pytest.raises(UsageError, match=r"export\.json is damaged"):
        export(run, "npz", folder=folder, limit=3)


def test_what_cannot_be_exported_is_refused(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lay()
    run = pipeline.open_run(folder)
    with pytest.raises(UsageError, match="one of virelay, png, npz, zarr"):
        export(run, "jpeg")
    with pytest.raises(UsageError, match="no explanation"):
        export(run.where(target=3, label=0, correct=True).where(label=1), "npz")
    with pytest.raises(UsageError, match="needs a folder of this machine"):
        export(run, "npz", folder="memory://somewhere")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "zarr", None)
        with pytest.raises(MissingExtra, match=r"task\.format=zarr needs the extra 'zarr'"):
            export(run, "zarr")
    assert not (folder / "export").exists()
    shard = folder / "shards/000/0000001.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    for format in ("png", "npz", "zarr", "virelay"):
        with pytest.raises(StoreError, match=r"0000001\.h5 is damaged"):
            export(pipeline.open_run(folder), format)


def test_a_run_elsewhere(lay: Lay, tmp_path: Path) -> None:
    folder = lay()
    for path in folder.rglob("*.*"):
        locate(f"memory://run/{path.relative_to(folder)}").write_bytes(path.read_bytes())
    run = pipeline.open_run("memory://run")
    with pytest.raises(UsageError, match="copy the run here first"):
        export(run, "virelay", folder=tmp_path / "out")
    with pytest.raises(UsageError, match="needs a folder of this machine"):
        export(run, "npz")
    found = [np.load(path)["attribution"] for path in sorted(export(run, "npz", folder=tmp_path / "out").glob("*.npz"))]
    np.testing.assert_array_equal(np.concatenate(found), np.stack([one.map for one in pipeline.open_run(folder)]))


def test_the_command_line_exports(compose: Compose, lay: Lay, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")
    run = lay(WINDOWS)
    for format, found in (("virelay", "project.yaml"), ("png", "maps.csv"), ("npz", "npz"), ("zarr", "run.zarr")):
        arguments = ("task=export", f"task.format={format}", f"run={run}", "task.limit=9", "num_workers=0")
        assert perform(*compose(*arguments)) == 0
        assert caplog.messages[-1].startswith(str(run / "export" / format)) and caplog.messages[-1].endswith(found)
    assert "maps are stored as (1, 5, 5): 9 are copied as (1, 32, 32), compressed" in caplog.text
    with h5py.File(run / "export/virelay/attributions.h5") as file:
        assert len(file["label"]) == 9
    with pytest.raises(UsageError, match=r"task\.format=jpeg: expected one of"):
        perform(*compose("task=export", f"run={run}", "task.format=jpeg"))


def test_a_layer_without_places_is_refused(explain: Status, tmp_path: Path) -> None:
    assert explain("method=activation", "data.limit=1", "view=layer", "layer='5'") == 0
    with pytest.raises(UsageError, match="no places in the image"):
        explain("task=export", "task.format=npz", f"run={tmp_path / 'run'}")
    assert not (tmp_path / "run/export").exists()


def test_nothing_published_is_said(lay: Lay) -> None:
    folder = lay()
    for path in folder.glob("shards/*/*"):
        path.unlink()
    with pytest.raises(StoreError, match="no published shard yet"):
        export(pipeline.open_run(folder), "npz")


def test_a_full_disk_is_said(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full is /dev/full here: its writes fail as such a disk's do."""
    run = pipeline.open_run(lay())
    opens = os.open

    def full(path: object, flags: int, *mode: int) -> int:
        return opens("/dev/full" if str(path).endswith(".tmp") else path, flags & ~os.O_EXCL, *mode)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(DiskFull, match="make room"):
        export(run, "npz")
