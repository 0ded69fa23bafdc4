import io

import h5py
import numpy as np
import pytest

from pipeline.store.checksum import append_checksum, check_checksum, has_valid_checksum
from pipeline.store.shard import encode_rows
from tests.store import synthetic

DATA = encode_rows(synthetic.rows(range(4)), {})
SEALED = append_checksum(DATA)


def test_the_content_comes_back_without_its_checksum() -> None:
    stream = check_checksum(SEALED)
    assert stream is not None and stream.read() == bytes(DATA)
    assert has_valid_checksum(io.BytesIO(SEALED))


@pytest.mark.parametrize("damaged", [SEALED[:-1], b"x" + SEALED[1:], SEALED + b"x", SEALED[:-1] + b"x", b""])
def test_damage_is_found(damaged: bytes) -> None:
    assert check_checksum(damaged) is None
    assert not has_valid_checksum(io.BytesIO(damaged))


def test_a_file_of_several_blocks_is_checked() -> None:
    large = append_checksum(memoryview(bytes(3 << 20)))
    assert has_valid_checksum(io.BytesIO(large))
    assert not has_valid_checksum(io.BytesIO(b"\1" + large[1:]))


def test_hdf5_reads_a_file_with_a_checksum_behind_it() -> None:
    with h5py.File(io.BytesIO(SEALED), "r") as file:
        np.testing.assert_array_equal(file["index"], [0, 1, 2])
