import io
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.store.checksum import append_checksum
from pipeline.store.column_file import encode_columns, is_intact, memory_map

SMALL = {"names": np.arange(7, dtype=np.uint8)}
LARGE = {"a": np.arange(100_000, dtype=np.int64), "b": np.arange(30, dtype=np.float32).reshape(10, 3)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "columns.h5"
    file.write_bytes(b"".join(encode_columns(SMALL, LARGE, {"kind": "test", "n": 3})))
    return file


def test_hdf5_reads_what_was_encoded(path: Path) -> None:
    assert is_intact(path)
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"kind": "test", "n": 3}
        for name, values in (SMALL | LARGE).items():
            np.testing.assert_array_equal(file[name][...], values)
            assert file[name].dtype == values.dtype


def test_columns_are_not_copied() -> None:
    pieces = encode_columns(SMALL, LARGE, {})
    assert any(np.shares_memory(np.asarray(piece), LARGE["a"]) for piece in pieces)
    assert len(pieces[0]) < 10_000, "the header"


def test_equal_columns_give_equal_bytes() -> None:
    one, other = (b"".join(encode_columns(SMALL, LARGE, {"n": 1})) for _ in range(2))
    assert one == other


def test_a_mapped_column_lies_in_the_file(path: Path) -> None:
    with h5py.File(path) as file:
        mapped = {name: memory_map(file[name]) for name in LARGE}
    for name, values in LARGE.items():
        assert isinstance(mapped[name].base, np.memmap)
        np.testing.assert_array_equal(mapped[name], values)


@pytest.mark.parametrize("place", [20, 1000, -1, -20, -45])
def test_damage_of_the_header_or_the_trailer_is_found(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert not is_intact(path)


def test_the_checksum_leaves_out_the_columns(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert is_intact(path), "their pages have checksums of their own"


def test_a_file_of_an_older_version_is_checked_as_a_whole(tmp_path: Path) -> None:
    with h5py.File(stream := io.BytesIO(), "w") as file:
        file["a"] = np.arange(9)
    data = append_checksum(memoryview(stream.getvalue()))
    (tmp_path / "old.h5").write_bytes(data)
    assert is_intact(tmp_path / "old.h5")
    (tmp_path / "old.h5").write_bytes(data[:-40] + b"\1" + data[-39:])
    assert not is_intact(tmp_path / "old.h5")
