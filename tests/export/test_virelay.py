"""The export for ViRelAy, opened and drawn by ViRelAy's own code, which scripts/test.sh installs."""

import gc
import io
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.errors import UsageError
from pipeline.export import export
from pipeline.system.signals import Stopped
from tests.export.conftest import KEPT, SIDE, SUMMED, WINDOWS, WriteRun
from tests.export.resuming import modification_times
from tests.stopping import Stopping

pytest.importorskip("virelay")
from virelay.image_processing import render_heatmap
from virelay.model import Project, Workspace
from virelay.server import Server

pytestmark = pytest.mark.usefixtures("small_blocks")


def opened(path: Path) -> Project:
    """Opens a project; earlier ones close their files first, since HDF5 opens no file with two kinds of locks."""
    gc.collect()
    return Project(str(path))


def expected(run: Path) -> list[dict[str, Any]]:
    """Each row by the reader."""
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
    """The map (H, W) of a row, summed as by ViRelAy."""
    return np.asarray(opened(path).get_attribution(row).data, np.float64).sum(2)


@pytest.mark.parametrize(
    ("geometry", "dtype"), [(SUMMED, "float16"), (SUMMED, "float32"), (KEPT, "float32"), (WINDOWS, "float16")]
)
def test_virelay_finds_each_map_with_its_image_label_and_logits(
    write_run: WriteRun, geometry: dict, dtype: str
) -> None:
    folder = write_run(geometry, dtype=dtype)
    rows, names = expected(folder), pipeline.open_run(folder).manifest.class_names
    project = opened(export(pipeline.open_run(folder), "virelay"))
    assert (project.name, project.model, project.attribution_method) == ("run", "drawn", "ig")
    assert project.attribution_strategy == "predicted_label" and len(project.dataset) == len(rows) == 29
    for row, one in enumerate(rows):
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
def test_its_server_draws_every_colour_map_for_maps_of_any_scale(write_run: WriteRun) -> None:
    folder, workspace = write_run(), Workspace()
    map_ = np.moveaxis(expected(folder)[7]["map"], 0, 2)
    workspace.add_project(str(export(pipeline.open_run(folder), "virelay")))
    gc.collect()
    server = Server(workspace)
    client = server.app.test_client()
    (method,) = client.get("/api/projects/0").json["analysisMethods"]
    assert [category["humanReadableName"] for category in method["categories"]] == ["tench", "goldfish"]
    analysis = client.get(
        "/api/projects/0/analyses/SpRAy?category=n01443537&clustering=kmeans-eigengap&embedding=spectral"
    ).json
    assert len(analysis["embedding"]) == 13 and {point["cluster"] for point in analysis["embedding"]} == {0, 1}
    assert len(server.color_maps) == 8
    for name in server.color_maps:
        drawn = workspace.projects[0].get_attribution(7).render_heatmap(name)
        wanted = render_heatmap(map_[..., 0], name)
        assert np.abs(drawn.astype(int) - wanted).max() <= 5  # one of the 256 steps of seismic
        for superimposed in ("false", "true"):
            response = client.get(f"/api/projects/0/attributions/7/heatmap?colorMap={name}&superimpose={superimposed}")
            picture = Image.open(io.BytesIO(response.data))
            assert response.status_code == 200 and picture.size == (SIDE, SIDE) and np.ptp(np.asarray(picture)) > 50
    workspace.close()


def test_maps_are_not_copied_and_the_run_can_be_moved_with_its_export(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run()
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


def test_an_export_elsewhere_finds_the_shards(write_run: WriteRun, tmp_path: Path) -> None:
    run = shutil.move(write_run(), tmp_path / "100%b %%")
    path = export(pipeline.open_run(run), "virelay", folder=tmp_path / "out", limit=15)
    shutil.move(path.parent, tmp_path / "further")
    path = tmp_path / "further" / path.name
    project = opened(path)
    assert len(project.dataset) == 15
    map_ = expected(run)[14]["map"][0]
    np.testing.assert_allclose(shown(path, 14) * np.abs(map_).max(), map_, atol=1e-5)


def test_some_rows_and_one_class_of_several(write_run: WriteRun, tmp_path: Path) -> None:
    run = pipeline.open_run(write_run(targets=2, dtype="float32", target_option="top2"))
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


def test_without_labels_classes_are_predictions(write_run: WriteRun) -> None:
    path = export(pipeline.open_run(write_run(labelled=False)), "virelay")
    project = opened(path)
    assert [label.name for label in project.get_attribution(3).labels] == ["(no label)"]
    assert {name.name for name in project.get_analysis_categories("SpRAy")} <= {"0", "1", "2", "3"}


def test_without_an_analysis_the_project_opens(write_run: WriteRun) -> None:
    assert opened(export(pipeline.open_run(write_run()), "virelay", limit=7)).get_analysis_methods() == []


def test_a_stopped_export_resumes_and_a_complete_one_is_kept(write_run: WriteRun) -> None:
    run, stop = write_run(WINDOWS), Stopping(at=4)
    with pytest.raises(Stopped), stop.deferred():
        export(pipeline.open_run(run), "virelay", stop=stop)
    folder = run / "export/virelay"
    parts = sorted(folder.glob("parts/*"))
    assert parts and not (folder / "project.yaml").exists()
    before = [part.stat().st_mtime_ns for part in parts]
    path = export(pipeline.open_run(run), "virelay")
    assert [part.stat().st_mtime_ns for part in parts] == before
    np.testing.assert_allclose(shown(path, 28), expected(run)[28]["map"][0], atol=1e-5)
    complete = modification_times(folder)
    assert export(pipeline.open_run(run), "virelay") == path
    assert modification_times(folder) == complete
