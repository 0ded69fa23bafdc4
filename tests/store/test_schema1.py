"""A shard of schema 1, written before the column `error_estimate` existed, is read with NaN in it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.store.ledger import Ledger
from pipeline.store.manifest import freeze_manifest
from pipeline.store.reader import Run
from pipeline.store.run_files import shard_path
from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader
from pipeline.store.writer import Writer
from tests.store import synthetic

SHARD = Path(__file__).with_name("schema1.h5")
"""Images 2 and 3 (which failed) of `synthetic.write(run, shard_size=2)` by commit b645359."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    freeze_manifest(tmp_path, synthetic.manifest(2))
    path = shard_path(tmp_path, 1)
    path.parent.mkdir(parents=True)
    shutil.copy(SHARD, path)
    Ledger(tmp_path, synthetic.manifest(2)).write_summary(1)
    return tmp_path


def test_all_other_columns_are_unchanged(run: Path) -> None:
    table, given = Run(ShardReader(run)).table(), synthetic.rows([2]).columns
    assert set(COLUMNS) - set(table) == {"attribution"}
    assert table["features"].shape == (1, 0)
    for name in set(COLUMNS) - {"attribution", "error_estimate", "features"}:
        np.testing.assert_array_equal(table[name], given[name])
    assert table["error_estimate"].dtype == np.float32 and np.isnan(table["error_estimate"]).tolist() == [True]


def test_an_explanation_has_no_error_estimate(run: Path) -> None:
    (explanation,) = Run(ShardReader(run))
    assert np.isnan(explanation.error_estimate) and explanation.evaluations == 50
    np.testing.assert_allclose(explanation.map, synthetic.maps(2, 1)[0], atol=1e-3)


def test_a_retry_writes_the_present_schema(run: Path) -> None:
    with Writer(run, synthetic.manifest(2), attributes=synthetic.ATTRIBUTES) as writer:
        assert writer.retry(1).tolist() == [3]
        writer.add(synthetic.rows([3], failed=()))
    table = Run(ShardReader(run)).table()
    np.testing.assert_allclose(table["error_estimate"], [np.nan, 0.003], rtol=1e-6)
