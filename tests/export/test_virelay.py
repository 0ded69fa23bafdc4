"""The export for ViRelAy, opened and shown by ViRelAy's own code, which scripts/test.sh installs."""

import gc
import io
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.audit.analyse import survey
from pipeline.errors import UsageError
from pipeline.export import excerpt, export
from pipeline.store.shard_reader import ShardReader
from pipeline.system.signals import Stopped
from tests.export.conftest import CLASSES, KEPT, SIDE, SUMMED, WINDOWS, Lay
from tests.stopping import Stopping

pytest.importorskip("virelay")
from virelay.image_processing import render_heatmap
from virelay.model import Project, Workspace
from virelay.server import Server


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks, which are no shards."""
    monkeypatch.setattr(excerpt, "ROWS", 10)


def opened(path: Path) -> Project:
    """A project, which closes its files when it is no longer used; a process opens no file with two kinds of locks."""
    gc.collect()
    return Project(str(path))


def expected(run: Path) -> list[dict[str, Any]]:
    """What the reader says of each row."""
    return [
        {
            "map": explanation.map,
            "photograph": np.asarray(explanation.photograph()),
            "label": explanation.label,
            "prediction": explanation.prediction,
        }
        for explanation in pipeline.open_run(run)
    ]


def shown(path: Path, row: int) -> np.ndarray:
    """The map (H, W) of a row as ViRelAy sums it."""
    return np.asarray(opened(path).get_attribution(row).data, np.float64).sum(2)


@pytest.mark.parametrize(
    ("geometry", "dtype"), [(SUMMED, "float16"), (SUMMED, "float32"), (KEPT, "float32"), (WINDOWS, "float16")]
)
def test_virelay_finds_each_map_with_its_image_label_and_logits(lay: Lay, geometry: dict, dtype: str) -> None:
    folder = lay(geometry, dtype=dtype)
    told, names = expected(folder), pipeline.open_run(folder).manifest.class_names
    project = opened(export(pipeline.open_run(folder), "virelay"))
    assert (project.name, project.model, project.attribution_method) == ("run", "drawn", "ig")
    assert project.attribution_strategy == "predicted_label" and len(project.dataset) == len(told) == 29
    for row, one in enumerate(told):
        attribution, sample = project.get_attribution(row), project.get_sample(row)
        assert np.array_equal(sample.data, one["photograph"])
        summed = np.asarray(attribution.data, np.float64).sum(2)
        scale = np.abs(one["map"]).max() if dtype == "float16" and geometry is SUMMED else 1
        assert summed.shape == (SIDE, SIDE)
        np.testing.assert_allclose(summed * scale, one["map"].sum(0), atol=1e-5)
        assert np.array_equal(attribution.prediction, one["prediction"])
        assert [label.name for label in (*attribution.labels, *sample.labels)] == [names[one["label"]]] * 2
    with pytest.raises((LookupError, IndexError)):
        project.get_attribution(29)


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
def test_its_server_draws_every_colour_map_whatever_the_scale_of_the_map(lay: Lay) -> None:
    folder, workspace = lay(), Workspace()
    map_ = np.moveaxis(expected(folder)[7]["map"], 0, 2)
    workspace.add_project(str(export(pipeline.open_run(folder), "virelay")))
    gc.collect()
    server = Server(workspace)
    client = server.app.test_client()
    (method,) = client.get("/api/projects/0").json["analysisMethods"]
    assert [category["humanReadableName"] for category in method["categories"]] == ["tench", "goldfish"]
    found = client.get(
        "/api/projects/0/analyses/SpRAy?category=n01443537&clustering=kmeans-eigengap&embedding=spectral"
    ).json
    assert len(found["embedding"]) == 13 and {point["cluster"] for point in found["embedding"]} == {0, 1}
    assert len(server.color_maps) == 8
    for name in server.color_maps:
        drawn = workspace.projects[0].get_attribution(7).render_heatmap(name)
        wanted = render_heatmap(map_[..., 0], name)
        assert np.abs(drawn.astype(int) - wanted).max() <= 5  # one of the 256 steps of seismic
        for superimposed in ("false", "true"):
            answer = client.get(f"/api/projects/0/attributions/7/heatmap?colorMap={name}&superimpose={superimposed}")
            picture = Image.open(io.BytesIO(answer.data))
            assert answer.status_code == 200 and picture.size == (SIDE, SIDE) and np.ptp(np.asarray(picture)) > 50
    workspace.close()


def test_its_analysis_is_the_audits(lay: Lay) -> None:
    run = lay()
    project = opened(export(pipeline.open_run(run), "virelay"))
    audit = survey(ShardReader(run))
    assert [name.name for name in project.get_analysis_categories("SpRAy")] == ["n01440764", "n01443537"]
    for number, name in enumerate(["n01440764", "n01443537"]):
        found = project.get_analysis("SpRAy", name, "kmeans-eigengap", "spectral")
        rows = np.flatnonzero((audit.arrays.group == number) & (audit.arrays.cluster >= 0))
        (told,) = (one for one in audit.classes if one.number == number)
        assert len(told.clusters) == 2
        assert np.array_equal(found.attribution_indices, rows)
        assert np.array_equal(found.clustering, audit.arrays.cluster[rows])
        assert np.array_equal(found.embedding, audit.arrays.embedding[rows])
        np.testing.assert_allclose(found.eigenvalues, told.eigenvalues, rtol=1e-6)


def test_maps_are_not_copied_and_the_run_can_be_moved_with_its_export(lay: Lay, tmp_path: Path) -> None:
    run = lay()
    path = export(pipeline.open_run(run), "virelay")
    with h5py.File(path.parent / "attributions.h5") as file:
        assert file["attribution"].is_virtual and file["attribution"].shape == (29, 3, SIDE, SIDE)
        assert "index" not in file
    assert (path.parent / "attributions.h5").stat().st_size < 20_000
    assert not list(path.parent.glob("parts/map-*"))
    before = shown(path, 20)
    assert np.ptp(before) > 0
    moved = run.rename(tmp_path / "elsewhere") / path.relative_to(run)
    assert np.array_equal(shown(moved, 20), before)


def test_an_export_elsewhere_finds_the_shards(lay: Lay, tmp_path: Path) -> None:
    run = shutil.move(lay(), tmp_path / "100%b %%")
    path = export(pipeline.open_run(run), "virelay", folder=tmp_path / "out", limit=15)
    shutil.move(path.parent, tmp_path / "further")
    path = tmp_path / "further" / path.name
    project = opened(path)
    assert len(project.dataset) == 15
    map_ = expected(run)[14]["map"][0]
    np.testing.assert_allclose(shown(path, 14) * np.abs(map_).max(), map_, atol=1e-5)


def test_some_rows_and_one_class_of_several(lay: Lay, tmp_path: Path) -> None:
    run = pipeline.open_run(lay(targets=2, dtype="float32", asked="top2"))
    with pytest.raises(UsageError, match="several classes of an image"):
        export(run, "virelay")
    some = run.where(target=1)
    path = export(some, "virelay", folder=tmp_path / "out")
    assert 0 < len(some) < len(run) and "method: ig of goldfish" in path.read_text()
    maps = [explanation.map[0] for explanation in some]
    del run, some
    project = opened(path)
    assert len(project.dataset) == len(maps)
    for row, map_ in enumerate(maps):
        assert np.array_equal(project.get_attribution(row).data.sum(2), map_)


def test_without_labels_classes_are_predictions(lay: Lay) -> None:
    path = export(pipeline.open_run(lay(labelled=False)), "virelay")
    project = opened(path)
    assert [label.name for label in project.get_attribution(3).labels] == ["(no label)"]
    names = json.loads((path.parent / "label-map.json").read_text())
    assert [(one["index"], one["word_net_id"]) for one in names] == [(n, str(n)) for n in range(-1, CLASSES)]
    assert {name.name for name in project.get_analysis_categories("SpRAy")} <= {"0", "1", "2", "3"}


def test_without_enough_maps_there_is_no_analysis(lay: Lay, caplog: pytest.LogCaptureFixture) -> None:
    project = opened(export(pipeline.open_run(lay()), "virelay", limit=7))
    assert project.get_analysis_methods() == [] and "no class has 8 maps" in caplog.text


def test_a_stopped_export_goes_on_and_a_whole_one_is_left(lay: Lay) -> None:
    run, stop = lay(WINDOWS), Stopping(at=4)
    with pytest.raises(Stopped), stop.held():
        export(pipeline.open_run(run), "virelay", stop=stop)
    folder = run / "export/virelay"
    parts = sorted(folder.glob("parts/*"))
    assert parts and not (folder / "project.yaml").exists()
    before = [part.stat().st_mtime_ns for part in parts]
    path = export(pipeline.open_run(run), "virelay")
    assert [part.stat().st_mtime_ns for part in parts] == before
    np.testing.assert_allclose(shown(path, 28), expected(run)[28]["map"][0], atol=1e-5)
    whole = {found: found.stat().st_mtime_ns for found in folder.rglob("*")}
    assert export(pipeline.open_run(run), "virelay") == path
    assert {found: found.stat().st_mtime_ns for found in folder.rglob("*")} == whole


def test_photographs_that_are_gone_are_named(lay: Lay, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    run = pipeline.open_run(lay())
    run[3].path.unlink()
    project = opened(export(run, "virelay", folder=tmp_path / "one"))
    assert not project.get_sample(3).data.any() and project.get_sample(4).data.any()
    assert f"1 photographs cannot be read, such as {run[3].path}: they are black" in caplog.text
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UsageError, match=r"photographs are not at hand \(.*0000\.png: No such file"):
        export(run, "virelay")
