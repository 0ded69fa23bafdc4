"""Whole columns of a run equal the reader's table."""

import numpy as np

from pipeline import open_run
from pipeline.report.run_columns import read_columns
from pipeline.store.shard_reader import ShardReader

from .conftest import MakeRun


def test_columns_are_those_of_the_readers_table(make_run: MakeRun) -> None:
    folder = make_run(targets=2, shards=(0, 2))
    columns, table = read_columns(ShardReader(folder), "index", "prediction"), open_run(folder).table()
    assert list(columns) == ["index", "prediction"]
    for name, values in columns.items():
        np.testing.assert_array_equal(values, table[name])


def test_a_run_without_shards_has_columns_without_rows(make_run: MakeRun) -> None:
    columns = read_columns(ShardReader(make_run(shards=())), "index", "score")
    assert [(len(values), values.dtype.name) for values in columns.values()] == [(0, "int64"), (0, "float32")]
