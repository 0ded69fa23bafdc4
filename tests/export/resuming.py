"""Interrupted exports, and the comparison of exported columns with the reader."""

import signal
from pathlib import Path

import numpy as np
import pytest

from pipeline.export import export
from pipeline.store.reader import Run
from pipeline.store.schema import COLUMNS
from pipeline.system.signals import Stopped, StopRequest


def modification_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


class StopLate(StopRequest):
    """SIGTERM arrives at the last of ``left`` checks."""

    left = 0

    def check(self) -> None:
        self.left -= 1
        if not self.left:
            self.receive(signal.SIGTERM, None)
        super().check()


def interrupted_export(run: Run, format: str, checks: int) -> Path:
    """The folder of an export that was stopped at its last of ``checks`` checks."""
    stop = StopLate()
    with pytest.raises(Stopped), stop.deferred():
        stop.left = checks
        export(run, format, stop=stop)
    return run.folder / "export" / format


def assert_equal_to_reader(columns: dict[str, np.ndarray], run: Run) -> None:
    """Compares exported columns with those of the reader."""
    maps = np.stack([explanation.map for explanation in run])
    np.testing.assert_allclose(columns["attribution"], maps, rtol=1e-5, atol=1e-6)
    table = {name: values for name, values in run.table().items() if name in COLUMNS}
    exported = table.keys() - {"scale", "features"}
    assert columns.keys() == exported | {"attribution", "path"}
    for name in exported:
        np.testing.assert_array_equal(columns[name], table[name])
        assert columns[name].dtype == table[name].dtype
