"""Table of images: the first row of each, grouped by class and by shard."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audit.image_table import ImageTable
from pipeline.store.shard_reader import ShardReader
from tests.store import synthetic


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """The images of a run with two targets each, some of which failed."""
    folder = tmp_path_factory.mktemp("run")
    synthetic.write(folder, targets=2)
    return ImageTable.read(ShardReader(folder))


def test_each_explained_image_has_its_first_row(images: ImageTable) -> None:
    explained = [image for image in range(synthetic.N_IMAGES) if image not in synthetic.FAILED]
    assert images.columns["index"].tolist() == explained
    assert images.row.tolist() == list(range(0, 2 * len(explained), 2))
    for position in (0, 11, len(images) - 1):
        stored = images.source.read(int(images.shard[position]), "index")
        assert stored[images.place[position]] == explained[position]


def test_groups_are_the_labels(images: ImageTable) -> None:
    groups = dict(images.groups())
    assert list(groups) == list(range(synthetic.N_CLASSES))
    for label, positions in groups.items():
        assert (images.columns["index"][positions] % synthetic.N_CLASSES == label).all()
    assert sorted(np.concatenate(list(groups.values()))) == list(range(len(images)))


def test_shards_are_in_order(images: ImageTable) -> None:
    shards = dict(images.shards())
    assert list(shards) == [0, 1, 2, 3, 4]
    assert np.concatenate(list(shards.values())).tolist() == list(range(len(images)))


def test_some_rows_alone(images: ImageTable, tmp_path: Path) -> None:
    some = ImageTable.read_rows(images.source, [(1, np.array([0, 4])), (3, np.array([2]))], np.array([0, 1, 2]))
    assert some.columns["index"].tolist() == [10, 12, 31] and some.shard.tolist() == [1, 1, 3]
    empty = ImageTable.read_rows(images.source, [], np.empty(0, np.int64))
    assert len(empty) == 0 and list(empty.groups()) == [] == list(empty.shards())
