"""The positive control and its negative: the same photographs with and without a watermark in one class."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit import Audit, open_audit
from pipeline.audit.interventions.confirm import suspect_rows
from pipeline.audit.planted_shortcut import PLANTED, WATERMARK, plant
from pipeline.data.data_options import DataOptions
from pipeline.errors import UsageError
from pipeline.run.task_options import PlantOptions
from pipeline.store.reader import Run
from pipeline.store.shard_reader import ShardReader
from pipeline.system.packaged_options import packaged_choices, packaged_defaults
from pipeline.tasks import perform
from tests.conftest import Compose

SIDE = 128
SMALL = [
    f"data.transform.crop=[{SIDE},{SIDE}]",
    f"data.transform.resize=[{SIDE},{SIDE}]",
    "num_workers=0",
    "device=cpu",
]
FEW = ["task.classes=4", "task.per_class=14"]
METHODS = {
    "ig": ["method=ig", "n_steps=6"],
    "occlusion": ["method=occlusion", "sliding_window_shapes=[3,32,32]", "strides=[3,24,24]"],
    "grad_cam": ["method=grad_cam", "layer=head"],
}


def plant_options(**changes: Any) -> PlantOptions:
    return replace(
        PlantOptions.from_node(packaged_defaults({**packaged_choices(), "task": "plant"})["task"]), **changes
    )


def data_options(**transform: Any) -> DataOptions:
    data = DataOptions.from_node(packaged_defaults(packaged_choices())["data"])
    return replace(data, transform=replace(data.transform, **transform))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[Path, Path]]:
    """Photographs and head with the watermark and without it."""
    options, data = plant_options(classes=4, per_class=14), data_options(resize=[SIDE, SIDE], crop=[SIDE, SIDE])
    return {
        watermark: plant(replace(options, watermark=watermark), data, tmp_path_factory.mktemp("planted"), seed=0)
        for watermark in (True, False)
    }


def audited(compose: Compose, planted: tuple[Path, Path], folder: Path, method: str) -> Audit:
    root, head = planted
    given = [*SMALL, *METHODS[method], f"data.root={root}", f"model.head={head}", f"output_dir={folder}"]
    assert perform(*compose(*given)) == 0
    assert perform(*compose("task=audit", f"run={folder}", "device=cpu")) == 0
    return open_audit(folder)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_watermark_is_found_and_confirmed(
    compose: Compose, planted: dict[bool, tuple[Path, Path]], tmp_path: Path, method: str
) -> None:
    audit = audited(compose, planted[True], tmp_path, method)
    first, second = audit.classes[:2]
    assert first.number == PLANTED and first.shortcut is not None and second.shortcut is not None
    assert first.shortcut.suspect and not second.shortcut.suspect
    left, top, right, bottom = (share * SIDE for share in WATERMARK)
    above, before, below, after = first.shortcut.box
    assert top < (above + below) / 2 < bottom and left < (before + after) / 2 < right
    run = Run(ShardReader(tmp_path))
    marked = {row for row in audit.arrays.row.tolist() if "marked" in run[row].path.name}
    about = set(suspect_rows(audit, first).tolist())
    assert len(marked & about) >= 0.6 * len(marked)
    if first.shortcut.cluster is not None:  # so few maps of Integrated Gradients do not part
        assert len(marked & about) >= 0.8 * len(about)
    check = first.shortcut.check
    assert check is not None and check.confirmed
    assert check.difference.accuracy.high < -0.25


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_without_the_watermark_nothing_is_suspected_of_the_class(
    compose: Compose, planted: dict[bool, tuple[Path, Path]], tmp_path: Path, method: str
) -> None:
    audit = audited(compose, planted[False], tmp_path, method)
    assert audit.classes[0].number != PLANTED
    found = next(one.shortcut for one in audit.classes if one.number == PLANTED)
    assert found is not None and not found.suspect and found.check is None


@pytest.mark.slow
def test_the_experiment_is_one_command(compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")
    given = ["experiment=planted_shortcut", *METHODS["grad_cam"], SMALL[0], *FEW, "num_workers=0", "device=cpu"]
    assert perform(*compose(*given, "task.swapped=0.1", f"output_dir={tmp_path}")) == 0
    assert f"class{PLANTED:03d}: shortcut score" in caplog.text and ": confirmed" in caplog.text
    audit = open_audit(tmp_path)
    swapped = {one.row for one in audit.doubts if "swapped" in one.path}
    assert len(swapped) >= 3 and {one.row for one in audit.doubts[: len(swapped)]} & swapped


def test_more_classes_than_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"task.classes=8: expected from 3 to 7"):
        plant(plant_options(classes=8, per_class=1), data_options(), tmp_path, seed=0)
