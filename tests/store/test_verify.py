import io

import numpy as np
import pytest

from pipeline.errors import Failure
from pipeline.report.derived_files import finish
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.schema import Rows
from pipeline.store.shard import decode_rows, encode_rows
from pipeline.store.shard_summary import decode_summary, encode_summary
from pipeline.store.verify import verify
from tests.store import synthetic


@pytest.fixture
def run(tmp_path):
    synthetic.write(tmp_path, targets=2)
    return tmp_path


def rewrite(run, shard: int, change) -> None:
    """Replaces the rows of a shard as a faulty writer would have written them, and its summary."""
    path = run / f"shards/000/{shard:07d}.h5"
    rows, attributes = decode_rows(io.BytesIO(path.read_bytes()), path)
    path.write_bytes(encode_rows(change(rows), attributes))
    Ledger(run, Manifest.open(run)).write_summary(shard)


def texts(run) -> list[str]:
    return [problem.text.removeprefix(f"{run}/shards/000/") for problem in verify(run).problems]


def test_an_intact_run_has_no_problems(run):
    verification = verify(run)
    assert (verification.shards, verification.published, verification.rows, verification.failures) == (5, 5, 86, 7)
    assert verification.problems == verification.damaged_shards == []
    assert verification.is_intact
    assert str(verification) == "5 of 5 shards, 86 explanations, 7 failures: 0 problems"


def test_pending_shards_are_no_problem(run):
    for ending in ("h5", "json"):
        (run / f"shards/000/0000002.{ending}").unlink()
    verification = verify(run)
    assert (verification.published, verification.problems) == (4, [])


def test_each_damaged_shard_is_named(run):
    for shard, place in ((1, 60), (3, -60)):
        path = run / f"shards/000/{shard:07d}.h5"
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
    verification = verify(run)
    assert verification.damaged_shards == [1, 3]
    assert verification.rows == 86 - 20 - 20
    assert not verification.is_intact
    assert [f"{shard:07d}.h5 is damaged" in str(verification) for shard in range(5)] == [
        False,
        True,
    ] * 2 + [False]


def test_missing_duplicate_and_foreign_rows_are_named(run):
    def without_12(rows: Rows) -> Rows:
        return rows.select_images(np.setdiff1d(rows.images, [12]))

    def with_a_target_less(rows: Rows) -> Rows:
        return rows.take(np.arange(len(rows)) != 5)

    def twice_34(rows: Rows) -> Rows:
        return Rows.concatenate([rows, rows.select_images(np.array([34]))])

    def failed_and_not(rows: Rows) -> Rows:
        return Rows(rows.columns, [*rows.failures, Failure(45, "read", "")])

    rewrite(run, 0, with_a_target_less)
    rewrite(run, 1, without_12)
    rewrite(run, 3, twice_34)
    rewrite(run, 4, failed_and_not)
    rewrite(run, 2, lambda rows: Rows({}, [*rows.failures, Failure(31, "read", "")]))
    assert texts(run) == [
        "0000000.h5: missing rows: images 2",
        "0000001.h5: missing rows: images 12",
        "0000002.h5: rows of images of another shard: images 31",
        "0000003.h5: duplicate rows: images 34",
        "0000004.h5: duplicate rows: images 45",
    ]
    assert verify(run).damaged_shards == [0, 1, 2, 3, 4]


def test_disorder_and_values_that_are_not_finite_are_named(run):
    def spoilt(rows: Rows) -> Rows:
        rows.columns["attribution"][3, 0, 0, 0] = np.nan
        return rows.take(np.arange(len(rows))[::-1])

    rewrite(run, 1, spoilt)
    assert texts(run) == [
        "0000001.h5: rows are not in the order of the images",
        "0000001.h5: maps that are not finite: images 11",
    ]


def test_lost_and_stray_files_are_named(run):
    folder = run / "shards/000"
    (folder / "0000000.h5").unlink()
    (folder / "0000001.json").unlink()
    (folder / "0000007.h5").write_bytes(b"")
    (folder / "0000003.rows-30-31.part").write_bytes(b"never sealed")
    (folder / "notes.txt").write_bytes(b"")
    (folder / ".0000003.h5~host.1~1~0123abcd.tmp").write_bytes(b"")
    assert texts(run) == [
        "0000000.json: its shard is missing; the same command computes it again",
        "0000003.rows-30-31.part: damaged; the next start of the run removes it",
        "0000007.h5: unknown file",
        "notes.txt: unknown file",
        "0000001.json: missing; task=finish writes it",
    ]
    assert verify(run).damaged_shards == []


@pytest.mark.parametrize("change", [(b'"n":2', b'"n":3'), (b'"rows":20', b'"rows":21')])
def test_an_edited_summary_is_named(run, change):
    path = run / "shards/000/0000001.json"
    path.write_bytes(path.read_bytes().replace(*change))
    assert texts(run) == [
        "0000001.json is damaged: its content does not match its checksum; remove it, task=finish writes it again"
    ]


def test_a_summary_of_an_older_version_is_no_damage(run):
    path = run / "shards/000/0000001.json"
    older = decode_summary(path.read_bytes())
    del older["failed"]
    path.write_bytes(encode_summary(older))
    assert texts(run) == ["0000001.json: written by an older version; task=finish writes it again"]
    assert verify(run).damaged_shards == []
    finish(run)
    assert verify(run).problems == []


def test_a_summary_that_is_not_json_is_named(run):
    (run / "shards/000/0000001.json").write_bytes(b"{")
    assert "0000001.json is damaged" in texts(run)[0]


def test_a_summary_of_other_rows_is_named(run):
    path = run / "shards/000/0000001.json"
    summary = decode_summary(path.read_bytes())
    path.write_bytes(encode_summary({**summary, "evaluations": 1}))
    assert texts(run) == ["0000001.json: does not match the rows of its shard; remove it, task=finish writes it again"]
