"""Picture strips: their pictures, names and scale."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.audit.page.strips import SIDE as LONGEST
from pipeline.audit.page.strips import common_scale, strips
from pipeline.store.reader import Run

from .runs import SIDE, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    from pipeline.store.shard_reader import ShardReader

    return Run(ShardReader(write_run(tmp_path)))


def size(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def test_a_strip_has_three_pictures_of_the_explanation(run: Run) -> None:
    fifth, last = strips(run, [4, 14], 1.0, images=True)
    assert (fifth.row, fifth.label, fifth.predicted, fifth.correct) == (4, "tabby", "jay", False)
    assert (last.label, last.predicted, last.correct, last.pictures) == ("jay", "jay", True, 3)
    assert size(last.jpeg) == (3 * SIDE, SIDE) and LONGEST >= SIDE
    assert last.confidence == pytest.approx(np.exp(2) / (np.exp(2) + 2))
    assert last.uri.startswith("data:image/jpeg;base64,")


def test_without_photographs_there_is_the_map_alone(run: Run, tmp_path: Path) -> None:
    (strip,) = strips(run, [14], 1.0, images=False)
    assert strip.pictures == 1 and size(strip.jpeg) == (SIDE, SIDE)
    (tmp_path / "photographs/2/14.png").unlink()
    (lost,) = strips(run, [14], 1.0, images=True)
    assert lost.pictures == 1 and lost.jpeg == strip.jpeg


def test_the_common_scale_is_the_median_of_the_maps(run: Run) -> None:
    each = [common_scale(run, [row]) for row in (2, 7, 12)]
    assert common_scale(run, [2, 7, 12]) == each[1] and each == sorted(each)
    assert common_scale(run, []) is None
