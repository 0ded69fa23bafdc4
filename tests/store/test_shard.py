import io

import h5py
import numpy as np
import pytest

from pipeline.errors import Failure, StoreError
from pipeline.store.schema import COLUMNS, SCHEMA_VERSION, Rows
from pipeline.store.shard import decode_rows, encode_rows
from tests.store import synthetic

ROWS = synthetic.rows(range(10), targets=2)


@pytest.mark.parametrize("filter", ["none", "gzip"])
def test_encoded_rows_are_decoded_unchanged(filter):
    rows, attributes = decode_rows(io.BytesIO(encode_rows(ROWS, synthetic.ATTRIBUTES, filter=filter)), "x")
    assert rows.failures == ROWS.failures
    for name in COLUMNS:
        np.testing.assert_array_equal(rows.columns[name], ROWS.columns[name])
        assert rows.columns[name].dtype == ROWS.columns[name].dtype
    assert attributes == {**synthetic.ATTRIBUTES, "rows": 16, "images": 10, "schema_version": SCHEMA_VERSION}


def test_equal_rows_give_equal_bytes():
    reordered = dict(reversed(synthetic.ATTRIBUTES.items()))
    assert encode_rows(ROWS, synthetic.ATTRIBUTES) == encode_rows(synthetic.rows(range(10), targets=2), reordered)


@pytest.mark.parametrize("filter", ["none", "gzip"])
def test_every_dataset_has_checksums_and_a_map_is_one_chunk(filter):
    with h5py.File(io.BytesIO(encode_rows(ROWS, {}, filter=filter)), "r") as file:
        assert set(file) == {*COLUMNS, "failures"}
        assert all(file[name].fletcher32 for name in file if file[name].size)
        assert file["attribution"].chunks == (1, *synthetic.SHAPE)
        assert file["attribution"].compression == (None if filter == "none" else "gzip")
        assert file["attribution"].shuffle == (filter == "gzip")
        assert file["index"].chunks == (16,)


def test_failures_alone_make_a_shard():
    alone = Rows({}, [Failure(4, "read", "ä\udcff ünreadable" * 50), Failure(5, "map", "")])
    rows, _ = decode_rows(io.BytesIO(encode_rows(alone, {})), "x")
    assert len(rows) == 0
    assert rows.failures == [Failure(4, "read", "ä\\udcff ünreadable" * 50), Failure(5, "map", "")]


def test_an_attribute_above_64_kb_is_stored():
    names = [f"class number {number}" for number in range(21_000)]
    assert decode_rows(io.BytesIO(encode_rows(ROWS, {"class_names": names})), "x")[1]["class_names"] == names


def test_a_flipped_byte_is_never_silent():
    data = bytes(encode_rows(ROWS, synthetic.ATTRIBUTES))
    place = data.index(ROWS.columns["attribution"][3].tobytes())
    flipped = bytearray(data)
    flipped[place + 5] ^= 1
    with pytest.raises(StoreError, match=r"^there\.h5 is damaged"):
        decode_rows(io.BytesIO(flipped), "there.h5")


def test_a_truncated_file_is_refused():
    with pytest.raises(StoreError, match=r"^there\.h5 is damaged"):
        decode_rows(io.BytesIO(bytes(encode_rows(ROWS, {}))[:-200]), "there.h5")


def test_a_newer_schema_is_refused_before_its_columns_are_read():
    stream = io.BytesIO(encode_rows(ROWS, {}))
    with h5py.File(stream, "r+") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION + 1
        del file["scale"]
    with pytest.raises(StoreError, match=r"^there\.h5 has store schema 4"):
        decode_rows(stream, "there.h5")


def test_a_shard_without_a_column_of_its_schema_is_damaged():
    stream = io.BytesIO(encode_rows(ROWS, {}))
    with h5py.File(stream, "r+") as file:
        del file["error_estimate"]
    with pytest.raises(StoreError, match=r"^there\.h5 is damaged"):
        decode_rows(stream, "there.h5")
