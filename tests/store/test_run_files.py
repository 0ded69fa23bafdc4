"""Paths of a run, and its files when they are not what they should be; the same through a reader of a whole run."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import StoreError
from pipeline.store.run_files import (
    convert_read_errors,
    read_run_file,
    refuse_symlink,
    require_regular_file,
    shard_path,
    summary_path,
)
from tests.store import synthetic

MAKE: dict[str, Callable[[Path, Path], object]] = {
    "pipe": lambda path, secret: os.mkfifo(path),
    "device": lambda path, secret: path.symlink_to("/dev/zero"),
    "folder": lambda path, secret: path.mkdir(),
    "link": lambda path, secret: path.symlink_to(secret),
}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside of the run's folder."""
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path / "secret"


def test_a_folder_has_a_thousand_shards() -> None:
    run = Path("run")
    assert shard_path(run, 0) == run / "shards/000/0000000.h5"
    assert shard_path(run, 12999) == run / "shards/012/0012999.h5"
    assert summary_path(run, 1234567) == run / "shards/1234/1234567.json"


@pytest.mark.parametrize("kind", MAKE)
def test_only_regular_files_are_opened(tmp_path: Path, secret: Path, kind: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    MAKE[kind](run / "file", secret)
    for read in (require_regular_file, read_run_file):
        with pytest.raises(StoreError, match=r"is not a regular file|leads out of the run's folder"):
            read(run / "file", run)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert read_run_file(tmp_path / "b", tmp_path) == b"content"


def test_errors_of_the_disk_name_the_file_and_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="x cannot be read: Input/output error"), convert_read_errors(Path("x")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(FileNotFoundError):
        read_run_file(tmp_path / "missing", tmp_path)


def test_a_folder_must_not_be_a_link(tmp_path: Path) -> None:
    assert refuse_symlink(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="link is a symbolic link"):
        refuse_symlink(tmp_path / "link")


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", ["shards/000/0000001.h5", "shards/000/0000001.json", "manifest.h5"])
def test_a_reader_opens_only_regular_files(tmp_path: Path, secret: Path, kind: str, name: str) -> None:
    run = tmp_path / "run"
    synthetic.write(run, failed=())
    (run / name).unlink()
    MAKE[kind](run / name, secret)
    with pytest.raises(StoreError, match=r"is not a regular file|leads out of the run's folder"):
        pipeline.open_run(run).table()
