"""Whole runs over a list file, tar archives and a saved data set: the same maps as of the folder."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.errors import UsageError
from pipeline.store.manifest import Manifest
from tests.conftest import Prepare, Status

EXACT = ["dtype=float64", "store.dtype=float64", "n_steps=3"]


@pytest.fixture(scope="session")
def archives(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small photographs, a class in each of three archives, with a text label beside each."""
    folder = tmp_path_factory.mktemp("archives")
    for number, place in enumerate(sorted(dataset.iterdir())):
        with tarfile.open(folder / f"{number:03d}.tar", "w") as archive:
            for photograph in sorted(place.iterdir()):
                label = folder / f"{photograph.stem}.cls"
                label.write_text(place.name)
                for path, name in ((photograph, photograph.name), (label, label.name)):
                    archive.add(path, f"{number}/{name}")
                label.unlink()
    return folder


def test_archives_are_shards_with_the_maps_of_the_folder(
    explain: Status, archives: Path, tmp_path: Path, job: Prepare
) -> None:
    assert explain(*EXACT) == 0
    packed = [*EXACT, "data=webdataset", f"data.root={archives}", "num_workers=1", f"output_dir={tmp_path / 'packed'}"]
    assert explain(*packed) == 0
    here, there = pipeline.open_run(tmp_path / "run"), pipeline.open_run(tmp_path / "packed")
    assert there.manifest.shards.tolist() == [0, 4, 8, 12]
    mine, theirs = here.table(), there.table()
    for name in set(mine) - {"path", "label_name", "target_name", "predicted_name"}:
        np.testing.assert_allclose(theirs[name], mine[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert (there[5].path, there[5].label) == (archives / "001.tar/1/b.jpg", here[5].label)
    assert there[5].photograph().tobytes() == here[5].photograph().tobytes()
    assert there.where(path=b"001.tar/1/b.jpg")[0].index == 5
    assert (tmp_path / "packed/report/index.html").read_text().count("data:image") > 3
    with pytest.raises(UsageError, match=r"store\.shard_size: an archive is a shard"):
        explain(*packed, "store.shard_size=3", f"output_dir={tmp_path / 'other'}")


def test_a_broken_member_is_a_failure_by_name(explain: Status, archives: Path, tmp_path: Path) -> None:
    packed = archives / "001.tar"
    data = packed.read_bytes()
    with tarfile.open(packed) as archive:
        place = archive.getmember("1/c.jpg").offset_data
    try:
        packed.write_bytes(data[:place] + b"?" * 100 + data[place + 100 :])
        assert explain(*EXACT, "data=webdataset", f"data.root={archives}") == 3
    finally:
        packed.write_bytes(data)
    run = pipeline.open_run(tmp_path / "run")
    assert [(failure.index, failure.stage) for failure in run.failures()] == [(6, "read")]
    assert '"001.tar/1/c.jpg"' in (tmp_path / "run/failures.jsonl").read_text()


def test_a_saved_data_set_has_the_maps_of_the_folder(explain: Status, dataset: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    paths = sorted(dataset.rglob("*.jpg"))
    images = [path.read_bytes() for path in paths]
    images[6] = images[6][:200]
    names = sorted({path.parent.name for path in paths})
    features = datasets.Features({"photo": datasets.Image(), "class": datasets.ClassLabel(names=names)})
    columns = {
        "photo": [{"bytes": image, "path": None} for image in images],
        "class": [path.parent.name for path in paths],
    }
    saved = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(val=saved).save_to_disk(tmp_path / "saved", num_shards={"val": 2})
    run = tmp_path / "packed"
    arguments = [*EXACT, "data=huggingface", f"data.root={tmp_path / 'saved'}", f"output_dir={run}", "num_workers=1"]
    assert explain(*EXACT) == 0 and explain(*arguments, "store.shard_size=5") == 3
    here, there = pipeline.open_run(tmp_path / "run"), pipeline.open_run(run)
    mine, theirs = here.table(), there.table()
    for name in set(mine) - {"path", "label_name", "target_name", "predicted_name"}:
        np.testing.assert_allclose(theirs[name], np.delete(mine[name], 6, 0), rtol=1e-9, atol=1e-12, err_msg=name)
    assert there[5].photograph().tobytes() == here[5].photograph().tobytes()
    assert there.where(path=b"val/data-00001-of-00002.arrow/000007")[0].index == 7
    (line,) = (run / "failures.jsonl").read_text().splitlines()
    assert '"val/data-00001-of-00002.arrow/000006"' in line and '"read"' in line


def test_a_list_takes_what_it_names(job: Prepare, dataset: Path, tmp_path: Path) -> None:
    names = ["n03773504/a.jpg", "n02123159/c.jpg", "n02123159/gone.jpg"]
    (tmp_path / "list.txt").write_text("".join(f"{name}\n" for name in names))
    listed = job(f"data.list={tmp_path / 'list.txt'}")
    assert [path.decode() for path in listed.index.paths] == names
    assert listed.labels.tolist() == [657, 282, 282]
    (tmp_path / "list.txt").write_text("".join(f"{name}\t{number}\n" for number, name in enumerate(names)))
    assert job(f"data.list={tmp_path / 'list.txt'}").labels.tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match=r"data\.root must be given"):
        job("data.root=null", f"data.list={tmp_path / 'list.txt'}")


@pytest.mark.parametrize("arguments", [["data=webdataset"], ["data=huggingface"], ["data=folder", "data.list=x"]])
def test_a_missing_root_is_refused(job: Prepare, arguments: list[str]) -> None:
    with pytest.raises(UsageError, match=r"data\.root must be given: data\.root=\.\.\."):
        job("data.root=null", *arguments)


def test_a_manifest_keeps_the_places(explain: Status, archives: Path, tmp_path: Path) -> None:
    assert explain(*EXACT, "data=webdataset", f"data.root={archives}", "data.limit=3") == 0
    found = Manifest.open(tmp_path / "run")
    assert found.shards.tolist() == [0, 1, 2, 3]
    for number in range(3):
        path, span = found.paths.location(number)
        assert span is not None
        archive = (archives / path.decode().split("/")[0]).read_bytes()
        assert archive[span[0] :][:2] == b"\xff\xd8"
        assert archive[span[0] + span[1] - 2 :][:2] == b"\xff\xd9"
