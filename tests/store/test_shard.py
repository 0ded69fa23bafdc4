import io

import h5py
import numpy as np
import pytest

from pipeline.errors import Failure, StoreError
from pipeline.store.schema import COLUMNS, SCHEMA_VERSION, Rows
from pipeline.store.shard import decode, encode, seal, unseal
from tests.store import synthetic

ROWS = synthetic.rows(range(10), targets=2)


@pytest.mark.parametrize("filter", ["none", "gzip"])
def test_what_is_encoded_comes_back(filter):
    rows, attributes = decode(io.BytesIO(encode(ROWS, synthetic.ATTRIBUTES, filter=filter)), "x")
    assert rows.failures == ROWS.failures
    for name in COLUMNS:
        np.testing.assert_array_equal(rows.columns[name], ROWS.columns[name])
        assert rows.columns[name].dtype == ROWS.columns[name].dtype
    assert attributes == {**synthetic.ATTRIBUTES, "rows": 16, "images": 10, "schema_version": SCHEMA_VERSION}


def test_equal_rows_give_equal_bytes():
    reordered = dict(reversed(synthetic.ATTRIBUTES.items()))
    assert encode(ROWS, synthetic.ATTRIBUTES) == encode(synthetic.rows(range(10), targets=2), reordered)


@pytest.mark.parametrize("filter", ["none", "gzip"])
def test_every_dataset_has_checksums_and_a_map_is_a_chunk(filter):
    with h5py.File(io.BytesIO(encode(ROWS, {}, filter=filter)), "r") as file:
        assert set(file) == {*COLUMNS, "failures"}
        assert all(file[name].fletcher32 for name in file if file[name].size)
        assert file["attribution"].chunks == (1, *synthetic.SHAPE)
        assert file["attribution"].compression == (None if filter == "none" else "gzip")
        assert file["attribution"].shuffle == (filter == "gzip")
        assert file["index"].chunks == (16,)


def test_failures_alone_make_a_shard():
    alone = Rows({}, [Failure(4, "read", "ä\udcff ünreadable" * 50), Failure(5, "map", "")])
    rows, _ = decode(io.BytesIO(encode(alone, {})), "x")
    assert len(rows) == 0
    assert rows.failures == [Failure(4, "read", "ä\\udcff ünreadable" * 50), Failure(5, "map", "")]


def test_a_long_attribute_is_kept():
    names = [f"class number {number}" for number in range(21_000)]
    assert decode(io.BytesIO(encode(ROWS, {"class_names": names})), "x")[1]["class_names"] == names


def test_a_flipped_byte_is_never_silent():
    data = bytes(encode(ROWS, synthetic.ATTRIBUTES))
    place = data.index(ROWS.columns["attribution"][3].tobytes())
    flipped = bytearray(data)
    flipped[place + 5] ^= 1
    with pytest.raises(StoreError, match=r"^there\.h5 is damaged"):
        decode(io.BytesIO(flipped), "there.h5")


def test_a_cut_file_is_refused():
    with pytest.raises(StoreError, match=r"^there\.h5 is damaged"):
        decode(io.BytesIO(bytes(encode(ROWS, {}))[:-200]), "there.h5")


def test_a_newer_schema_is_refused_before_its_columns_are_read():
    stream = io.BytesIO(encode(ROWS, {}))
    with h5py.File(stream, "r+") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION + 1
        del file["scale"]
    with pytest.raises(StoreError, match=r"^there\.h5 has store schema 4"):
        decode(stream, "there.h5")


def test_a_shard_without_a_column_of_its_schema_is_damaged():
    stream = io.BytesIO(encode(ROWS, {}))
    with h5py.File(stream, "r+") as file:
        del file["error_estimate"]
    with pytest.raises(StoreError, match=r"^there\.h5 is damaged"):
        decode(stream, "there.h5")


def test_a_seal_holds_for_one_content_and_hdf5_does_not_see_it(tmp_path):
    sealed = seal(encode(ROWS, {}))
    whole = unseal(sealed)
    assert whole is not None and whole.read() == bytes(encode(ROWS, {}))
    for broken in (sealed[:-1], b"x" + sealed[1:], sealed + b"x", b""):
        assert unseal(broken) is None
    (tmp_path / "part").write_bytes(sealed)
    with h5py.File(tmp_path / "part", "r") as file:
        np.testing.assert_array_equal(file["index"], ROWS.columns["index"])
