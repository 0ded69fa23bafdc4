"""The formats of an export: from the command line, from an object store, and what is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.export import export
from pipeline.system.remote import to_path
from pipeline.tasks import perform
from tests.conftest import Compose, Status
from tests.export.conftest import WINDOWS, WriteRun

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_an_unknown_format_is_refused(write_run: WriteRun) -> None:
    with pytest.raises(UsageError, match="one of virelay, png, npz, zarr"):
        export(pipeline.open_run(write_run()), "jpeg")


@pytest.mark.parametrize("format", ["png", "npz", "zarr", "virelay"])
def test_a_damaged_shard_is_refused(format: str, write_run: WriteRun) -> None:
    folder = write_run()
    shard = folder / "shards/000/0000001.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"0000001\.h5 is damaged"):
        export(pipeline.open_run(folder), format)


def test_a_run_in_an_object_store_is_exported_to_a_local_folder(write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run()
    for path in folder.rglob("*.*"):
        to_path(f"memory://run/{path.relative_to(folder)}").write_bytes(path.read_bytes())
    run = pipeline.open_run("memory://run")
    with pytest.raises(UsageError, match="copy the run to this machine first"):
        export(run, "virelay", folder=tmp_path / "out")
    with pytest.raises(UsageError, match="needs a local folder"):
        export(run, "npz")
    blocks = [
        np.load(path)["attribution"] for path in sorted(export(run, "npz", folder=tmp_path / "out").glob("*.npz"))
    ]
    expected = np.stack([explanation.map for explanation in pipeline.open_run(folder)])
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_the_command_line_exports(compose: Compose, write_run: WriteRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")
    run = write_run(WINDOWS)
    for format, opened in (("virelay", "project.yaml"), ("png", "maps.csv"), ("npz", "npz"), ("zarr", "run.zarr")):
        arguments = ("task=export", f"task.format={format}", f"run={run}", "task.limit=9", "num_workers=0")
        assert perform(*compose(*arguments)) == 0
        assert caplog.messages[-1].startswith(str(run / "export" / format)) and caplog.messages[-1].endswith(opened)
    assert "maps are stored as (1, 5, 5): 9 are copied as (1, 32, 32), compressed" in caplog.text
    with h5py.File(run / "export/virelay/attributions.h5") as file:
        assert len(file["label"]) == 9
    with pytest.raises(UsageError, match=r"task\.format=jpeg: expected one of"):
        perform(*compose("task=export", f"run={run}", "task.format=jpeg"))


def test_maps_of_a_layer_without_positions_are_refused(explain: Status, tmp_path: Path) -> None:
    assert explain("method=activation", "data.limit=1", "view=layer", "layer='5'") == 0
    with pytest.raises(UsageError, match="no positions in the image"):
        explain("task=export", "task.format=npz", f"run={tmp_path / 'run'}")
    assert not (tmp_path / "run/export").exists()
