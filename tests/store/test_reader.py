import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import COLUMNS, Rows
from pipeline.store.writer import Writer
from tests.store import synthetic

TEXTS = ["path", "label_name", "target_name", "predicted_name"]
EXPLAINED = [image for image in range(50) if image not in synthetic.FAILED]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    synthetic.write(run, targets=2, shard_size=5)
    return run


@pytest.fixture
def run(folder):
    return pipeline.open_run(folder)


def images(run) -> list[int]:
    return [explanation.index for explanation in run]


def test_it_is_one_array_in_the_order_of_images_and_targets(run):
    assert len(run) == 2 * len(EXPLAINED)
    assert images(run) == [image for image in EXPLAINED for _ in range(2)]
    assert [run[number].index for number in range(len(run))] == images(run)
    assert [run[number].target for number in (0, 1, -2, -1)] == [1, 0, 1, 0]
    assert run[np.int64(5)].index == run[5].index
    for number in (len(run), -len(run) - 1):
        with pytest.raises(IndexError, match=f"of {len(run)}"):
            run[number]


def test_where_selects_by_what_the_columns_say(run):
    table = run.table()
    correct = table["predicted"] == table["label"]
    for condition, wanted in {
        (("label", 2),): table["label"] == 2,
        (("correct", True),): correct,
        (("correct", False),): ~correct,
        (("target", 1),): table["target"] == 1,
        (("label", 3), ("correct", False), ("target", 0)): (table["label"] == 3) & ~correct & (table["target"] == 0),
        (("label", "class 2"), ("target", "1")): (table["label"] == 2) & (table["target"] == 1),
        (("label", -1),): np.zeros(len(run), bool),
    }.items():
        selected = run.where(**dict(condition))
        assert images(selected) == table["index"][wanted].tolist()
        assert len(selected) == wanted.sum()
        np.testing.assert_array_equal(selected.table()["score"], table["score"][wanted])
        assert [selected[number].index for number in range(len(selected))] == images(selected)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"label": 99}, r"label=99: expected a class number from 0 to 4, or a class name"),
        ({"target": -2}, r"target=-2: expected"),
        ({"label": "clas 2"}, r"label='clas 2': none of the 5 classes has this name; did you mean 'class 2'"),
    ],
)
def test_a_class_that_is_none_of_the_runs_is_refused(run, condition, message):
    with pytest.raises(ValueError, match=message):
        run.where(**condition)


def test_selections_can_be_narrowed(run):
    twice = run.where(label=3).where(target=0)
    assert images(twice) == images(run.where(label=3, target=0)) != []


@pytest.mark.parametrize("path", ["class3/image0013.png", b"class3/image0013.png", Path("/data/class3/image0013.png")])
def test_where_finds_an_image_by_its_path(run, path):
    assert images(run.where(path=path)) == [13, 13]


def test_a_path_from_the_working_folder_is_understood(folder, monkeypatch, tmp_path):
    run = folder.parent / "moved"
    freeze_manifest(run, synthetic.manifest(shard_size=5, root=os.fsencode(tmp_path)))
    if not (run / "shards").exists():
        (run / "shards").symlink_to(folder / "shards")
    monkeypatch.chdir(tmp_path)
    assert images(pipeline.open_run(run).where(path=Path("class3/image0013.png"))) == [13, 13]


def test_a_path_of_no_image_is_refused_and_of_a_failed_one_empty(run):
    with pytest.raises(ValueError, match=r"no\.png is not an image of"):
        run.where(path="no.png")
    assert len(run.where(path="class3/image0003.png")) == 0


def test_images_without_labels_are_neither_correct_nor_wrong(tmp_path):
    given = synthetic.manifest()
    manifest = freeze_manifest(tmp_path, Manifest(**{**vars(given), "label": np.full(50, -1, np.int32)}))
    rows = synthetic.rows(range(10))
    with Writer(tmp_path, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        writer.add(Rows({**rows.columns, "label": np.full(8, -1, np.int32)}, rows.failures))
    run = pipeline.open_run(tmp_path)
    assert len(run) == len(run.where(label=-1)) == 8
    assert set(run.table()["label_name"]) == {""}
    assert len(run.where(correct=True)) == len(run.where(correct=False)) == 0


def test_a_label_opens_only_shards_that_can_hold_it(tmp_path):
    given = synthetic.manifest()
    by_class = Manifest(**{**vars(given), "label": np.repeat(np.arange(5, dtype=np.int32), 10)})
    manifest = freeze_manifest(tmp_path, by_class)
    with Writer(tmp_path, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        rows = synthetic.rows(range(50))
        writer.add(Rows({**rows.columns, "label": manifest.label[rows.columns["index"]]}, rows.failures))
    for shard in (0, 1, 2, 4):
        (tmp_path / f"shards/000/000000{shard}.h5").write_bytes(b"not to be opened")
    assert images(pipeline.open_run(tmp_path).where(label=3)) == list(range(30, 40))


def test_the_table_has_all_columns_but_the_maps(run):
    table, given = run.table(), synthetic.rows(EXPLAINED, targets=2).columns
    assert [*table] == [name for name in COLUMNS if name != "attribution"] + TEXTS
    for name in set(table) - set(TEXTS):
        np.testing.assert_array_equal(table[name], given[name])
        assert table[name].dtype == given[name].dtype
    assert table["path"].tolist() == [str(explanation.path) for explanation in run]
    assert table["target_name"].tolist() == [explanation.class_name for explanation in run]
    assert table["label_name"].tolist() == [f"class {number}" for number in table["label"]]
    assert table["predicted_name"].tolist() == [f"class {number}" for number in table["predicted"]]


def test_failures_are_listed(run):
    assert {failure.index: failure.error for failure in run.failures()} == {
        image: f"image {image} is broken" for image in synthetic.FAILED
    }


def test_a_run_that_has_just_begun_is_empty(tmp_path):
    freeze_manifest(tmp_path, synthetic.manifest())
    run = pipeline.open_run(tmp_path)
    assert (len(run), list(run), list(run.where(label=1))) == (0, [], [])
    assert set(run.table()) == {*COLUMNS, *TEXTS} - {"attribution"}
    assert all(len(values) == 0 for values in run.table().values())
    with pytest.raises(StoreError, match="no published shard yet"):
        run.attributes  # noqa: B018


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a run's folder"):
        pipeline.open_run(tmp_path / "typo")


def test_the_attributes_are_those_of_the_writer_and_the_manifest(run):
    assert run.attributes["options"] == {"n_steps": 50}
    assert run.attributes["class_names"] == run.manifest.class_names
    assert run.attributes["fingerprint"] == run.manifest.fingerprint
    assert run.attributes["preprocessing"] == run.manifest.preprocessing
    assert run.attributes["preprocessing"]["crop"] == [6, 8]
    assert run.attributes["complete"] is True


def test_it_can_be_sent_to_another_process(run):
    selected = run.where(label=1)
    assert len(selected) > 0
    assert images(pickle.loads(pickle.dumps(selected))) == images(selected)
    assert pickle.loads(pickle.dumps(run[4])).map.tolist() == run[4].map.tolist()
