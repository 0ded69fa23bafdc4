"""Objects in fsspec's memory file system; the same operations on S3: tests/system/test_remote.py."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.store.object_store import as_local_file, file_version, is_object_path, put_object
from pipeline.system.remote import to_path


@pytest.fixture
def path() -> Iterator[Path]:
    place = to_path("memory://store/folder/object")
    yield place
    place.unlink(missing_ok=True)


def test_the_first_conditional_put_wins(path: Path) -> None:
    assert put_object(b"first", path, overwrite=False)
    assert not put_object(b"second", path, overwrite=False)
    assert path.read_bytes() == b"first"
    assert put_object(b"third", path, overwrite=True)
    assert path.read_bytes() == b"third"


def test_a_local_copy_stays_mapped_after_it_is_removed(path: Path) -> None:
    put_object(bytes(range(100)), path, overwrite=False)
    with as_local_file(path) as local:
        mapped = np.memmap(local, np.uint8, "r")
    assert not local.exists()
    assert mapped.tolist() == list(range(100))


def test_a_local_file_is_not_copied(tmp_path: Path) -> None:
    with as_local_file(tmp_path / "x") as local:
        assert local == tmp_path / "x"
    assert not is_object_path(tmp_path) and is_object_path(to_path("memory://store"))


def test_a_missing_object_is_not_found(path: Path) -> None:
    with pytest.raises(FileNotFoundError), as_local_file(path):
        pass


@pytest.mark.parametrize("address", ["memory://store/version", None])
def test_the_version_changes_with_the_file(tmp_path: Path, address: str | None) -> None:
    path = tmp_path / "file" if address is None else to_path(address)
    path.write_bytes(b"one")
    before = file_version(path)
    assert file_version(path) == before
    other = path.with_name("other")
    other.write_bytes(b"three")
    other.rename(path)
    assert file_version(path) != before
