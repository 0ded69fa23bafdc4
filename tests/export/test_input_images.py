"""Input images of an export: preprocessed pixels, black where an image cannot be read."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import pipeline
from pipeline.errors import UsageError
from pipeline.export.input_images import FILE, write_inputs
from pipeline.export.run_excerpt import Excerpt
from pipeline.system.signals import StopRequest
from tests.export.conftest import WriteRun
from tests.export.resuming import modification_times

pytestmark = pytest.mark.usefixtures("small_blocks")


def written(excerpt: Excerpt, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    write_inputs(excerpt, folder, stop=StopRequest(), num_workers=0)
    with h5py.File(folder / FILE) as file:
        return file["data"][:], file["label"][:]


def test_pixels_are_those_of_the_photographs(write_run: WriteRun, tmp_path: Path) -> None:
    run = pipeline.open_run(write_run(targets=1))
    pixels, labels = written(Excerpt.of(run), tmp_path / "out")
    assert np.array_equal(pixels, [np.moveaxis(np.asarray(one.photograph()), 2, 0) for one in run])
    assert labels.tolist() == [one.label for one in run]
    before = modification_times(tmp_path / "out/parts")
    shutil.rmtree(tmp_path / "images")
    written(Excerpt.of(run), tmp_path / "out")  # nothing is decoded again
    assert modification_times(tmp_path / "out/parts") == before


def test_an_unreadable_photograph_is_black_and_named(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = pipeline.open_run(write_run())
    run[3].path.unlink()
    pixels, _ = written(Excerpt.of(run), tmp_path / "out")
    assert not pixels[3].any() and pixels[4].any()
    assert f"1 photographs cannot be read, such as {run[3].path}: they are black" in caplog.text


def test_a_block_without_a_readable_photograph_ends_the_export(write_run: WriteRun, tmp_path: Path) -> None:
    run = pipeline.open_run(write_run())
    for explanation in list(run)[10:20]:
        explanation.path.unlink()
    with pytest.raises(UsageError, match=r"photographs cannot be read \(.*0011\.png: No such file"):
        written(Excerpt.of(run), tmp_path / "out")
