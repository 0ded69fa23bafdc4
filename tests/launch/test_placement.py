"""The machine's cores and GPUs are split among the workers."""

import os

import pytest

from pipeline.launch.placement import placements


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_cores_are_split(workers: int) -> None:
    cores = os.sched_getaffinity(0)
    parts = [placement.cores for placement in placements("cpu", workers)]
    assert len(parts) == workers and all(parts) and frozenset().union(*parts) == cores
    if workers <= len(cores):
        assert sum(map(len, parts)) == len(cores)
    with placements("cpu", workers)[0].inherited():
        assert os.sched_getaffinity(0) == parts[0]
    assert os.sched_getaffinity(0) == cores


def test_environment_has_as_many_threads_as_cores() -> None:
    (alone,) = placements("cpu", 1)
    assert alone.environment["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))
    assert alone.environment.get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("visible", "expected"), [(None, ["0", "1", "0"]), ("7,GPU-ab", ["7", "GPU-ab", "7"]), ("3", ["3", "3", "3"])]
)
def test_workers_get_the_visible_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2 if visible is None else len(visible.split(",")))
    for device in ("auto", "cuda"):
        workers = placements(device, 3)
        assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in workers] == expected
        assert {worker.device for worker in workers} == {"cuda"}
    assert [worker.gpu for worker in placements("cpu", 3)] == [None] * 3
