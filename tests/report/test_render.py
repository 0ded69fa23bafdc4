"""A run becomes a folder of pictures: one for each explanation, written atomically, drawn once."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import StoreError, UsageError
from pipeline.report.render import panels_from_options, picture_name, render
from pipeline.run.task_options import RenderOptions
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.writer import Writer
from pipeline.system.signals import Stopped, StopRequest
from pipeline.visualize import Panel, draw
from tests.conftest import Compose, Status
from tests.stopping import Stopping
from tests.store import synthetic

NAMES = [
    *(
        b"a/1.png",
        b"a/2",
        b"a b/\xff\xfe\n.jpeg",
        "b/Müller.png".encode(),
        b"b/..x.png",
        b"c/" + b"long" * 60 + b".png",
    ),
    *(b"c/.hidden.png", b"d/<i>:*?.png", b"d/9.png", b"d/10.png"),
]
HEIGHT, WIDTH = synthetic.SHAPE[1:]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Ten explanations of which all but two have their image."""
    root = tmp_path / "images"
    manifest = Manifest(
        root=os.fsencode(root),
        paths=ImagePaths.from_bytes(NAMES),
        label=np.full(len(NAMES), -1, np.int32),
        shards=np.array([0, 5, 10]),
        identity={"method": "ig"},
        class_names=[f"class {number}" for number in range(synthetic.N_CLASSES)],
        preprocessing=Preprocessing(None, (HEIGHT, WIDTH), (0.5,) * 3, (0.5,) * 3).to_json(),
    )
    for number, name in enumerate(NAMES[:8]):
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (30 * number, 0, 255)).save(path, "png")
    with Writer(
        tmp_path / "run", freeze_manifest(tmp_path / "run", manifest), attributes=synthetic.ATTRIBUTES
    ) as writer:
        for first in (0, 5):
            writer.add(synthetic.rows(range(first, first + 5), failed=()))
    return tmp_path / "run"


@pytest.fixture
def options(compose: Compose):
    def composed(*arguments: str) -> RenderOptions:
        return RenderOptions.from_node(compose("task=render", *arguments)[0]["task"])

    return composed


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def pictures(run: Path, options: RenderOptions) -> list[Path]:
    return sorted(render(pipeline.open_run(run), options, stop=StopRequest()).iterdir())


def test_every_explanation_has_a_picture_whose_name_sorts_and_is_safe(run: Path, options) -> None:
    paths = pictures(run, options())
    explanations = list(pipeline.open_run(run))
    assert [path.name for path in paths] == [picture_name(pipeline.open_run(run), each) for each in explanations]
    assert [int(path.name.partition("-")[0]) for path in paths] == list(range(10))
    assert all(path.name.isascii() and len(path.name) < 120 for path in paths)
    assert not any(set(path.name) & set('<>:"/\\|?*\n ') for path in paths)
    assert paths[0].parent == run / "pictures" and paths[0].name == f"00-a_1-{explanations[0].target}.png"


def test_a_picture_is_what_its_panels_draw(run: Path, options) -> None:
    path = pictures(run, options("task.panels=[original_image,heat_map]", "task.cmap=RdWhGn", "task.limit=2"))[1]
    explanation = pipeline.open_run(run)[1]
    heat = Panel("heat_map", "all", cmap="RdWhGn", show_colorbar=True, title="for and against")
    expected = explanation.show(Panel("original_image", title=explanation.class_name), heat)
    assert np.array_equal(opened(path).convert("RGB"), expected)


def test_without_the_image_the_map_alone_is_drawn(run: Path, options) -> None:
    path = pictures(run, options("task.titles=false", "task.show_colorbar=false"))[9]
    map_ = pipeline.open_run(run)[9].map
    assert np.array_equal(opened(path), draw(map_, sign="all"))
    photograph = run.parent / "images" / os.fsdecode(NAMES[9])
    photograph.parent.mkdir(exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(photograph)  # found again
    assert opened(pictures(run, options("task.titles=false", "task.show_colorbar=false"))[9]).width > map_.shape[2]


def test_the_same_command_draws_nothing_again_and_another_draws_all(run: Path, options) -> None:
    def times(paths: list[Path]) -> list[int]:
        return [path.stat().st_mtime_ns for path in paths]

    paths = pictures(run, options())
    before, (damaged, removed) = times(paths), paths[2:4]
    damaged.write_bytes(b"no picture")
    removed.unlink()
    again = pictures(run, options())
    assert again == paths and opened(damaged).width == opened(paths[1]).width
    unchanged = [first == second for first, second in zip(before, times(paths), strict=True)]
    assert unchanged == [
        True,
        True,
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]  # the last two: no image
    assert pictures(run, options("task.sign=absolute_value")) == paths
    assert not any(first == second for first, second in zip(before, times(paths), strict=True))


def test_a_shared_scale_is_the_largest_and_a_given_one_is_taken(run: Path, options) -> None:
    maps = [explanation.map for explanation in pipeline.open_run(run)]
    largest = max(Panel(sign="all").threshold(map_) for map_ in maps)
    plain = ("task.panels=[heat_map]", "task.titles=false", "task.show_colorbar=false")
    for scale, value in (("shared", largest), ("3.5", 3.5)):
        paths = pictures(run, options(*plain, f"task.scale={scale}", f"task.folder={run.parent / scale}"))
        for path, map_ in zip(paths, maps, strict=True):
            assert np.array_equal(opened(path), draw(map_, sign="all", scale=value))
    assert paths[0].parent == run.parent / "3.5"


def test_a_stopped_task_leaves_complete_pictures_and_resumes(run: Path, options) -> None:
    with pytest.raises(Stopped):
        render(pipeline.open_run(run), options(), stop=Stopping(at=4))
    left = sorted((run / "pictures").iterdir())
    assert len(left) == 3 and all(opened(path).convert("RGB") for path in left)
    orphan = run / "pictures" / ".x.png~elsewhere~1~00000000.tmp"
    orphan.write_bytes(b"half")
    os.utime(orphan, (0, 0))
    assert len(pictures(run, options())) == 10


def test_panels_that_cannot_be_drawn_are_refused(options) -> None:
    with pytest.raises(UsageError, match=r"^task.overlay has no sign"):
        panels_from_options(options("task.panels=[overlay]", "task.sign=all"))


def test_the_command_line_draws_a_run(compose: Compose, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    from pipeline.tasks import perform

    caplog.set_level("INFO", logger="pipeline")
    assert perform(*compose("task=render", f"run={run}", "task.limit=1")) == 0
    assert str(run / "pictures") in caplog.text and len(list((run / "pictures").iterdir())) == 1
    wrong = {"panels": "[picture]", "sign": "both", "cmap": "jet", "scale": "mine", "limit": 0, "outlier_perc": 101}
    for name, value in wrong.items():
        with pytest.raises(UsageError, match=f"^task.{name}="):
            perform(*compose("task=render", f"run={run}", f"task.{name}={value}"))
    (shard,) = run.glob("shards/*/0000000.h5")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StoreError, match="damaged"):
        perform(*compose("task=render", f"run={run}"))


def test_a_neuron_is_named_and_a_layer_without_places_refused(explain: Status, tmp_path: Path) -> None:
    neuron = ("method=saliency", "data.limit=1", "view=neuron", "layer='0'", "neuron=[3,4,5]")
    assert explain(*neuron) == 0
    assert explain("task=render", f"run={tmp_path / 'run'}") == 0
    assert [path.name for path in (tmp_path / "run/pictures").iterdir()] == ["0-n02123159_a-neuron.png"]
    flat = ("method=activation", "data.limit=1", "view=layer", "layer='5'", f"output_dir={tmp_path / 'flat'}")
    assert explain(*flat) == 0
    with pytest.raises(UsageError, match="no positions in the image"):
        explain("task=render", f"run={tmp_path / 'flat'}")
