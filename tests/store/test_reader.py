import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.store import shard_reader
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze
from pipeline.store.schema import COLUMNS, Rows
from pipeline.store.writer import Writer
from pipeline.visualize import Panel, draw
from tests.store import synthetic

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


def test_an_explanation_has_all_that_the_writer_was_given(run):
    given = synthetic.rows([13], targets=2).columns
    explanation = run[2 * EXPLAINED.index(13)]
    assert (explanation.index, explanation.label, explanation.target) == (13, 3, 1)
    assert explanation.path == Path("/data/class3/image0013.png")
    assert explanation.class_name == "class 1"
    np.testing.assert_array_equal(explanation.prediction, given["prediction"][0])
    assert explanation.predicted == given["predicted"][0]
    assert (explanation.score, explanation.baseline_score, explanation.evaluations) == (13, 0.5, 50)
    assert explanation.convergence_delta == np.float32(0.13)
    assert np.isnan(run[2 * EXPLAINED.index(14)].convergence_delta)
    assert explanation.error_estimate == np.float32(0.013)
    assert np.isnan(run[2 * EXPLAINED.index(14)].error_estimate)
    assert explanation.crop == (12, 16, 0, 0, 12, 16)
    assert "image0013.png" in repr(explanation)


def test_float16_maps_are_off_by_a_2048th_of_their_maximum_at_most(run):
    for number in range(0, len(run), 7):
        explanation = run[number]
        true = synthetic.maps(explanation.index, 2)[number % 2]
        assert explanation.map.dtype == explanation.native.dtype == np.float32
        assert explanation.map.shape == synthetic.SHAPE
        assert np.abs(explanation.map - true).max() <= 2**-11 * np.abs(true).max()


def test_zero_maps_stay_zero(run):
    assert run[0].index == 0
    assert not run[0].map.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wider_maps_come_back_exactly(tmp_path, dtype):
    synthetic.write(tmp_path, dtype=dtype)
    explanation = pipeline.open_run(tmp_path)[10]
    np.testing.assert_array_equal(explanation.map, synthetic.maps(explanation.index, 1)[0])
    assert (explanation.native.dtype, explanation.map.dtype) == (dtype, "float32")


def test_a_grid_of_windows_is_expanded(tmp_path):
    manifest = freeze(tmp_path, synthetic.manifest())
    geometry = {
        "kind": "windows", "shape": [3, 6, 8], "window": [3, 2, 2], "strides": [3, 2, 2], "channels": "sum",
    }  # fmt: skip
    rows = synthetic.rows(range(10))
    grids = np.arange(8 * 12, dtype=np.float16).reshape(8, 1, 3, 4)
    with Writer(tmp_path, manifest, attributes={**synthetic.ATTRIBUTES, "geometry": geometry}) as writer:
        writer.add(Rows({**rows.columns, "attribution": grids, "scale": np.full(8, 2, np.float32)}, rows.failures))
    explanation = pipeline.open_run(tmp_path)[3]
    np.testing.assert_array_equal(explanation.native, grids[3] * 2)
    expected = np.kron(grids[3, 0].astype(np.float32) * 2, np.ones((2, 2))) * 3  # summed over 3 equal channels
    np.testing.assert_allclose(explanation.map, expected[None], rtol=1e-6)


def test_where_selects_by_what_the_columns_say(run):
    table = run.table()
    correct = table["predicted"] == table["label"]
    for condition, wanted in {
        (("label", 2),): table["label"] == 2,
        (("correct", True),): correct,
        (("correct", False),): ~correct,
        (("target", 1),): table["target"] == 1,
        (("label", 3), ("correct", False), ("target", 0)): (table["label"] == 3) & ~correct & (table["target"] == 0),
        (("label", 99),): np.zeros(len(run), bool),
    }.items():
        selected = run.where(**dict(condition))
        assert images(selected) == table["index"][wanted].tolist()
        assert len(selected) == wanted.sum()
        np.testing.assert_array_equal(selected.table()["score"], table["score"][wanted])
        assert [selected[number].index for number in range(len(selected))] == images(selected)


def test_selections_can_be_narrowed(run):
    twice = run.where(label=3).where(target=0)
    assert images(twice) == images(run.where(label=3, target=0)) != []


@pytest.mark.parametrize("path", ["class3/image0013.png", b"class3/image0013.png", Path("/data/class3/image0013.png")])
def test_where_finds_an_image_by_its_path(run, path):
    assert images(run.where(path=path)) == [13, 13]


def test_a_path_from_the_working_folder_is_understood(folder, monkeypatch, tmp_path):
    run = folder.parent / "moved"
    freeze(run, synthetic.manifest(shard_size=5, root=os.fsencode(tmp_path)))
    if not (run / "shards").exists():
        (run / "shards").symlink_to(folder / "shards")
    monkeypatch.chdir(tmp_path)
    assert images(pipeline.open_run(run).where(path=Path("class3/image0013.png"))) == [13, 13]


def test_a_path_of_no_image_is_refused_and_of_a_failed_one_empty(run):
    with pytest.raises(ValueError, match=r"no\.png is no image of"):
        run.where(path="no.png")
    assert len(run.where(path="class3/image0003.png")) == 0


def test_images_without_labels_are_neither_correct_nor_wrong(tmp_path):
    given = synthetic.manifest()
    manifest = freeze(tmp_path, Manifest(**{**vars(given), "label": np.full(50, -1, np.int32)}))
    rows = synthetic.rows(range(10))
    with Writer(tmp_path, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        writer.add(Rows({**rows.columns, "label": np.full(8, -1, np.int32)}, rows.failures))
    run = pipeline.open_run(tmp_path)
    assert len(run) == len(run.where(label=-1)) == 8
    assert len(run.where(correct=True)) == len(run.where(correct=False)) == 0


def test_a_label_opens_only_shards_that_can_hold_it(tmp_path):
    given = synthetic.manifest()
    by_class = Manifest(**{**vars(given), "label": np.repeat(np.arange(5, dtype=np.int32), 10)})
    manifest = freeze(tmp_path, by_class)
    with Writer(tmp_path, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        rows = synthetic.rows(range(50))
        writer.add(Rows({**rows.columns, "label": manifest.label[rows.columns["index"]]}, rows.failures))
    for shard in (0, 1, 2, 4):
        (tmp_path / f"shards/000/000000{shard}.h5").write_bytes(b"not to be opened")
    assert images(pipeline.open_run(tmp_path).where(label=3)) == list(range(30, 40))


def test_the_table_has_all_columns_but_the_maps(run):
    table, given = run.table(), synthetic.rows(EXPLAINED, targets=2).columns
    assert set(table) == set(COLUMNS) - {"attribution"}
    for name, values in table.items():
        np.testing.assert_array_equal(values, given[name])
        assert values.dtype == given[name].dtype


def test_failures_are_listed(run):
    assert {failure.index: failure.error for failure in run.failures()} == {
        image: f"image {image} is broken" for image in synthetic.FAILED
    }


def test_a_run_that_has_just_begun_is_empty(tmp_path):
    freeze(tmp_path, synthetic.manifest())
    run = pipeline.open_run(tmp_path)
    assert (len(run), list(run), list(run.where(label=1))) == (0, [], [])
    assert set(run.table()) == set(COLUMNS) - {"attribution"}
    with pytest.raises(StoreError, match="no published shard yet"):
        run.attributes  # noqa: B018


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no run's folder"):
        pipeline.open_run(tmp_path / "typo")


def test_the_attributes_are_those_of_the_writer_and_the_manifest(run):
    assert run.attributes["options"] == {"n_steps": 50}
    assert run.attributes["class_names"] == run.manifest.class_names
    assert run.attributes["fingerprint"] == run.manifest.fingerprint
    assert run.attributes["preprocessing"] == run.manifest.preprocessing
    assert run.attributes["preprocessing"]["crop"] == [6, 8]
    assert run.attributes["complete"] is True


def test_a_loop_keeps_few_files_open(folder, monkeypatch):
    opened, closed = [], []
    original = h5py.File

    class Counted(original):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            opened.append(id(self))

        def __del__(self):
            closed.append(id(self))

    monkeypatch.setattr(shard_reader.h5py, "File", Counted)
    run = pipeline.open_run(folder)
    for _ in range(2):
        kept = [(explanation, explanation.score) for explanation in run]
    assert len(opened) > shard_reader._OPEN_FILES
    assert len(opened) - len(closed) <= shard_reader._OPEN_FILES
    assert [explanation.score for explanation, _ in kept] == [score for _, score in kept]


def test_each_shard_is_checked_once(folder, monkeypatch):
    checked, check = [], Ledger.check
    monkeypatch.setattr(Ledger, "check", lambda self, shard, near: (checked.append(shard), check(self, shard, near)))
    run = pipeline.open_run(folder)
    for _ in range(2):
        assert len(list(run.where(correct=True))) and run.table()
        assert [explanation.score for explanation in run]
    assert sorted(checked) == list(range(10))


def test_a_flipped_byte_is_refused_by_name(tmp_path):
    synthetic.write(tmp_path)
    path = tmp_path / "shards/000/0000002.h5"
    data = bytearray(path.read_bytes())
    data[data.index(Ledger(tmp_path, Manifest.open(tmp_path)).rows(2).columns["score"].tobytes())] ^= 1
    path.write_bytes(data)
    run = pipeline.open_run(tmp_path)
    assert run[0].score == 0
    with pytest.raises(StoreError, match=r"0000002\.h5 is damaged.*sha256"):
        run.where(correct=True).table()
    unchecked = pipeline.open_run(tmp_path, verify=False)
    with pytest.raises(StoreError, match=r"0000002\.h5 is damaged: score"):
        unchecked.table()
    assert len([explanation.target for explanation in unchecked]) == 43


def test_a_newer_shard_is_one_clear_line(tmp_path):
    synthetic.write(tmp_path)
    with h5py.File(tmp_path / "shards/000/0000000.h5", "r+") as file:
        file.attrs["schema_version"] = 7
    with pytest.raises(StoreError, match=r"0000000\.h5 has store schema 7, this version reads up to 3"):
        _ = pipeline.open_run(tmp_path, verify=False)[0].map


def test_a_missing_summary_is_no_error(tmp_path, caplog):
    synthetic.write(tmp_path)
    (tmp_path / "shards/000/0000000.json").unlink()
    run = pipeline.open_run(tmp_path)
    assert (len(run), run[3].index) == (43, 4)
    assert "0000000.h5 has no summary yet" in caplog.text


def test_it_can_be_sent_to_another_process(run):
    selected = run.where(label=1)
    assert len(selected) > 0
    assert images(pickle.loads(pickle.dumps(selected))) == images(selected)
    assert pickle.loads(pickle.dumps(run[4])).map.tolist() == run[4].map.tolist()


def test_the_picture_is_of_what_the_model_saw(tmp_path):
    root, run = tmp_path / "data", tmp_path / "run"
    manifest = freeze(run, synthetic.manifest(root=os.fsencode(root)))  # resizes by half, then cuts out the middle
    rows = synthetic.rows(range(10), failed=())
    rows.columns["attribution"][:] = 0
    with Writer(run, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        writer.add(rows)
    explanation = pipeline.open_run(run)[4]
    assert explanation.show().size == (8, 6)  # without the image
    explanation.path.parent.mkdir(parents=True)
    picture = Image.new("RGB", (40, 30), "black")
    picture.paste("white", (10, 6, 30, 22))
    picture.save(explanation.path)
    assert np.asarray(explanation.show()).min() > 250


def test_the_picture_takes_panels_or_the_options_of_one(tmp_path):
    run = tmp_path / "run"
    synthetic.write(run)
    explanation = pipeline.open_run(run)[9]
    heat = Panel("heat_map", "all", outlier_perc=0)
    assert explanation.show(sign="all", outlier_perc=0).tobytes() == draw(explanation.map, None, heat).tobytes()
    assert explanation.show(Panel("overlay"), heat).tobytes() == draw(explanation.map, None, heat).tobytes()  # no image
    with pytest.raises(ValueError, match="not both"):
        explanation.show(heat, sign="all")
    with pytest.raises(ValueError, match="sign is one of"):
        explanation.show(sign="both")
