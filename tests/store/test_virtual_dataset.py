"""A program that knows only HDF5 finds every row of a run in one file, and NaN where there is none."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.report.derived_files import finish
from pipeline.store.manifest import Manifest
from pipeline.store.reader import Run
from pipeline.store.run_files import shard_path, summary_path
from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader
from pipeline.store.virtual_dataset import encode_index
from tests.store import synthetic

MISSING = {*range(10, 20)}


def opened(run: Path) -> h5py.File:
    """Open the index without locks: HDF5 wants one setting for all files of a process, and the shards have none."""
    return h5py.File(run / "index.h5", locking=False)


@pytest.fixture(params=[1, 3])
def targets(request) -> int:
    return request.param


@pytest.fixture
def run(tmp_path: Path, targets: int) -> Path:
    """Five shards of ten images, of which the second is missing, moved after it was finished."""
    synthetic.write(tmp_path / "run", targets=targets)
    shard_path(tmp_path / "run", 1).unlink()
    summary_path(tmp_path / "run", 1).unlink()
    finish(tmp_path / "run")
    return (tmp_path / "run").rename(tmp_path / "moved")


def test_each_image_has_its_rows_at_its_place(run: Path, targets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    table = Run(ShardReader(run)).table()
    rows = table["index"] * targets + np.tile(np.arange(targets), len(table["index"]) // targets)
    with opened(run) as file:
        assert set(file) == set(COLUMNS) - {"features"} and file.attrs["targets_per_image"] == targets
        assert file["attribution"].shape == (50 * targets, *synthetic.SHAPE)
        for name in (set(table) & set(COLUMNS)) - {"features"}:
            np.testing.assert_array_equal(file[name][...][rows], table[name])
        for image in (0, 2, 8, 25, 49):
            maps = file["attribution"][image * targets : (image + 1) * targets].astype(np.float32)
            scale = file["scale"][image * targets : (image + 1) * targets][:, None, None, None]
            np.testing.assert_allclose(maps * scale, synthetic.maps(image, targets), atol=1e-3 * (image + 1))


def test_failed_and_missing_images_are_nan(run: Path, targets: int) -> None:
    nothing = np.repeat([image in synthetic.FAILED | MISSING for image in range(50)], targets)
    with opened(run) as file:
        np.testing.assert_array_equal(np.isnan(file["attribution"][...]).all((1, 2, 3)), nothing)
        np.testing.assert_array_equal(file["index"][...] == -1, nothing)
        shutil.rmtree(run / "shards")
    with opened(run) as file:
        assert np.isnan(file["score"][...]).all()


def test_it_is_written_again_from_the_published_shards(run: Path, targets: int) -> None:
    synthetic.write(run, targets=targets)
    finish(run)
    first = (run / "index.h5").read_bytes()
    with opened(run) as file:
        assert (file["index"][...] == -1).sum() == targets * len(synthetic.FAILED)
    finish(run)
    assert (run / "index.h5").read_bytes() == first


def test_a_run_without_explanations_has_no_index(tmp_path: Path) -> None:
    synthetic.write(tmp_path, shard_size=5)
    for shard in {*range(10)} - {4}:  # the shard in which all images failed stays
        shard_path(tmp_path, shard).unlink()
        summary_path(tmp_path, shard).unlink()
    assert Manifest.open(tmp_path).n_shards == 10
    assert encode_index(ShardReader(tmp_path), []) is None
    finish(tmp_path)
    assert not (tmp_path / "index.h5").exists()
