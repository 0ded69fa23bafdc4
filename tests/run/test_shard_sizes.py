"""Sizes of a run are those of its files, and what may not fit is announced."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.run.loop import freeze_run, run_job
from pipeline.run.shard_sizes import format_bytes, free_bytes, row_bytes, shard_size, shard_starts, targets_per_image
from pipeline.system.signals import StopRequest
from tests.conftest import Prepare


def test_planned_bytes_are_the_stores(job: Prepare) -> None:
    large = ("data.transform.resize=96", "data.transform.crop=96")
    wide = job("method=saliency", "store.channels=keep", "store.dtype=float64", "target=top2", *large)
    run_job(wide, StopRequest())
    size = sum(path.stat().st_size for path in wide.run.rglob("*.h5"))
    assert 0.9 * size < 12 * row_bytes(wide) < 1.1 * size


def test_shards_are_small_enough_and_no_smaller_than_a_batch(job: Prepare) -> None:
    assert shard_size(job("batch_size=4")) == 4
    assert shard_size(job("batch_size=1")) == 1
    assert shard_size(job("store.shard_size=5", "batch_size=8")) == 5
    assert shard_starts(job("store.shard_size=5")).tolist() == [0, 5, 10, 12]


def test_an_archive_is_a_shard(job: Prepare) -> None:
    prepared = job("data.limit=6")
    archives = replace(prepared, index=replace(prepared.index, archive=np.array([0, 0, 0, 1, 2, 2], np.int32)))
    assert shard_starts(archives).tolist() == [0, 3, 4, 6]
    given = replace(archives, options=replace(archives.options, store=replace(archives.options.store, shard_size=2)))
    with pytest.raises(UsageError, match="an archive is a shard"):
        shard_starts(given)


def test_targets_of_an_image(job: Prepare) -> None:
    assert [targets_per_image(job(f"target={target}")) for target in ("pred", "5", "[1,2,3]", "top7")] == [1, 1, 3, 7]


def test_free_bytes_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path / "not" / "yet") < float("inf")


def test_a_disk_that_may_be_too_small_is_announced(
    job: Prepare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small = job("store.shard_size=4")
    needed = (12 + 4) * row_bytes(small)  # all images, and the shard in work a second time
    for free, announced in ((needed, False), (needed - 1, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: type("Usage", (), {"free": free}))
        caplog.clear()
        freeze_run(small)
        assert ("may be too small" in caplog.text) is announced


def test_bytes_as_text() -> None:
    assert [format_bytes(count) for count in (0, 999, 1e3, 2.5e6, 7e9, 3e15, float("inf"))] == [
        "0 B", "999 B", "1 kB", "2.5 MB", "7 GB", "3e+03 TB", "unlimited",
    ]  # fmt: skip
