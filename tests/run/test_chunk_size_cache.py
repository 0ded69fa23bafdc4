"""Chunk sizes that a run measured are cached in its folder, by device."""

import json

import pytest

from pipeline.run.chunk_size_cache import FILE, ChunkSizeCache
from pipeline.run.job import Job
from tests.conftest import Prepare, Status


def start(job: Job) -> ChunkSizeCache:
    job.run.mkdir(exist_ok=True)
    return ChunkSizeCache(job)


@pytest.mark.parametrize("smooth", ["none", "noise_tunnel"])
def test_a_later_start_restores_the_sizes_of_an_earlier_one(job: Prepare, smooth: str) -> None:
    first, second = job(f"smooth={smooth}"), job(f"smooth={smooth}")
    chunks = start(first)
    chunks.save()
    assert not (first.run / FILE).exists()  # nothing measured yet
    evaluators = first.method.chunked_evaluators()
    evaluators[-1].start_at(24)
    chunks.save()
    start(second)
    assert [evaluator.learned_size for evaluator in second.method.chunked_evaluators()] == [
        *[None] * (len(evaluators) - 1),
        24,
    ]
    evaluators[0].start_at(6)
    chunks.save()
    assert [*json.loads((first.run / FILE).read_bytes()).values()] == [
        [evaluator.learned_size for evaluator in evaluators]
    ]


def test_sizes_of_another_device_stay_unchanged(job: Prepare) -> None:
    one = job()
    one.run.mkdir()
    (one.run / FILE).write_text(json.dumps({"another GPU": [256, 128]}))
    chunks = start(one)
    assert [evaluator.learned_size for evaluator in one.method.chunked_evaluators()] == [None, None]
    one.method.evaluator.start_at(3)
    chunks.save()
    assert json.loads((one.run / FILE).read_bytes())["another GPU"] == [256, 128]


def test_a_given_size_is_neither_changed_nor_saved(job: Prepare) -> None:
    one = job("internal_batch_size=5")
    one.run.mkdir()
    found = job()
    cache = start(found)
    found.method.evaluator.start_at(24)
    cache.save()
    start(one).save()
    assert one.method.evaluator.size == 5


def test_a_whole_run_saves_its_sizes(explain: Status, job: Prepare) -> None:
    assert explain("method=ig", "n_steps=400") == 0
    file = job("method=ig", "n_steps=400").run / FILE
    assert any(size for sizes in json.loads(file.read_bytes()).values() for size in sizes)
