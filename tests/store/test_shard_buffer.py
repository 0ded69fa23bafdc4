from pipeline.store.shard_buffer import ShardBuffer
from tests.store import synthetic


def test_the_first_copy_of_an_image_is_stored() -> None:
    buffer = ShardBuffer(0, 5)
    buffer.add(synthetic.rows([1, 2]))
    buffer.add(synthetic.rows([2, 4], failed={2}))
    assert buffer.remaining.tolist() == [0, 3]
    assert buffer.rows.columns["index"].tolist() == [1, 2, 4] and buffer.rows.failures == []


def test_images_of_other_shards_are_dropped() -> None:
    buffer = ShardBuffer(10, 20)
    buffer.add(synthetic.rows(range(8, 13)))
    assert buffer.rows.images.tolist() == [10, 11, 12]


def test_only_new_rows_are_unsaved() -> None:
    buffer = ShardBuffer(0, 5)
    buffer.add(synthetic.rows([4]), saved=True)
    buffer.add(synthetic.rows([1, 0]))
    assert buffer.computed == 2
    assert buffer.take_unsaved().images.tolist() == [0, 1]
    assert buffer.take_unsaved().images.size == 0
    buffer.add(synthetic.rows([2]))
    assert buffer.take_unsaved().images.tolist() == [2]
    assert buffer.rows.images.tolist() == [0, 1, 2, 4] and buffer.remaining.tolist() == [3]
