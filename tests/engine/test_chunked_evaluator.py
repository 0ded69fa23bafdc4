"""The chunked evaluator covers every pair once, whatever fits into memory and however long a chunk takes."""

import logging
from collections.abc import Callable

import pytest
import torch

from pipeline.engine import chunked_evaluator
from pipeline.engine.chunk_size import FIRST_CHUNK, LARGEST_CHUNK
from pipeline.engine.chunked_evaluator import ChunkedEvaluator, is_out_of_memory


class Network:
    """Evaluates ranges that fit into memory, and records which were requested and which were evaluated."""

    def __init__(self, fits: Callable[[int], int]) -> None:
        self.fits = fits
        self.requested: list[tuple[int, int]] = []
        self.completed: list[int] = []

    def __call__(self, start: int, stop: int) -> None:
        self.requested.append((start, stop))
        if stop - start > self.fits(len(self.requested)):
            raise torch.OutOfMemoryError("this network's own limit")
        self.completed += range(start, stop)

    @property
    def sizes(self) -> list[int]:
        return [stop - start for start, stop in self.requested]


def all_fit(_number: int) -> int:
    return 10**9


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("pairs", [0, 1, 64, 65])
def test_covers_the_sequence_and_only_the_last_chunk_is_partly_empty(size: int, pairs: int) -> None:
    network = Network(all_fit)
    ChunkedEvaluator(size).evaluate(pairs, network)
    assert network.completed == list(range(pairs))
    assert all(chunk == size for chunk in network.sizes[:-1])


def test_a_chunk_that_does_not_fit_is_halved_and_evaluated_again(caplog: pytest.LogCaptureFixture) -> None:
    network, evaluator = Network(lambda number: 64 if number <= 2 else 5), ChunkedEvaluator(16)
    with caplog.at_level(logging.WARNING):
        evaluator.evaluate(50, network)
    assert network.sizes == [16, 16, 16, 8, *[4] * 4, 2]
    assert network.completed == list(range(50))  # nothing twice
    assert evaluator.size == 4
    assert "internal_batch_size=4" in caplog.messages[-1]
    network.requested.clear()
    evaluator.evaluate(8, network)
    assert network.sizes == [4, 4]  # it remembers


def test_not_even_one_fits() -> None:
    network = Network(lambda number: 0)
    with pytest.raises(MemoryError, match="not even one point fits into memory: lower"):
        ChunkedEvaluator(8).evaluate(20, network)
    assert network.sizes == [8, 4, 2, 1]
    assert not network.completed


def test_other_errors_pass() -> None:
    def evaluate_chunk(start: int, stop: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        ChunkedEvaluator(8).evaluate(20, evaluate_chunk)


def test_knows_the_allocators_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)  # a petabyte or so
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


class Machine:
    """A clock, and a network whose chunks of n take overhead + n cost(n) on it."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds, self.now = seconds, 0.0
        self.sizes: list[int] = []

    def __call__(self, start: int, stop: int) -> None:
        self.sizes.append(stop - start)
        self.now += self.seconds(stop - start)

    def walk(self, monkeypatch: pytest.MonkeyPatch, pairs: int) -> ChunkedEvaluator:
        monkeypatch.setattr(chunked_evaluator.time, "perf_counter", lambda: self.now)
        evaluator = ChunkedEvaluator()
        evaluator.evaluate(pairs, self)
        assert sum(self.sizes) == pairs
        return evaluator


def test_grows_while_a_pair_gets_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(lambda size: 1.0 if size <= 32 else 3.0)
    evaluator = machine.walk(monkeypatch, 1000)
    assert evaluator.size == 32
    assert machine.sizes[:10] == [4, 4, 8, 16, 32, 64, 48, 24, 32, 32]  # the first one warms up
    assert evaluator.learned_size == 32


def test_finds_a_size_between_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(lambda size: 1.0 if size <= 50 else 3.0)
    assert machine.walk(monkeypatch, 1000).learned_size == 48


def test_goes_on_at_a_size_that_was_found_before() -> None:
    network, evaluator = Network(all_fit), ChunkedEvaluator()
    assert evaluator.learned_size is None
    evaluator.start_at(24)
    evaluator.evaluate(100, network)
    assert network.sizes == [24, 24, 24, 24, 4] and evaluator.learned_size == 24


def test_a_given_size_stays() -> None:
    evaluator = ChunkedEvaluator(7)
    evaluator.start_at(24)
    assert evaluator.size == 7 and evaluator.learned_size is None


def test_does_not_grow_where_that_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(lambda size: 1.0 * size)
    assert machine.walk(monkeypatch, 1000).size == FIRST_CHUNK
    assert machine.sizes[:6] == [4, 4, 8, 6, 3, 4]


def test_grows_to_the_largest_chunk_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(lambda size: 1.0)
    assert machine.walk(monkeypatch, 10 * LARGEST_CHUNK).size == LARGEST_CHUNK
    assert max(machine.sizes) == LARGEST_CHUNK


def test_stops_growing_where_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked_evaluator.time, "perf_counter", iter(range(10**6)).__next__)
    network, evaluator = Network(lambda number: 20), ChunkedEvaluator()
    evaluator.evaluate(300, network)
    assert network.completed == list(range(300))
    assert network.sizes[:7] == [4, 4, 8, 16, 32, 16, 16]
    assert evaluator.size == 16


@pytest.mark.parametrize("size", [0, -1, 2.0, "8"])
def test_wrong_size(size: object) -> None:
    with pytest.raises(ValueError, match="internal_batch_size must be a whole number from 1"):
        ChunkedEvaluator(size)  # type: ignore[arg-type]


def test_check_is_called_before_each_chunk_and_ends_the_evaluation() -> None:
    class Stop(Exception):
        pass

    network, evaluator = Network(all_fit), ChunkedEvaluator(4)

    def check() -> None:
        if len(network.requested) == 2:
            raise Stop

    evaluator.check = check
    with pytest.raises(Stop):
        evaluator.evaluate(100, network)
    assert network.completed == list(range(8))


def test_times_its_own_device_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(chunked_evaluator, "synchronize", waited.append)
    devices = iter([torch.device("cuda:1")] * 100)
    ChunkedEvaluator(device=lambda: next(devices)).evaluate(12, Network(all_fit))
    assert waited == [torch.device("cuda:1")] * 2  # two chunks of the first size; the next one is cut short
    ChunkedEvaluator(4, device=lambda: next(devices)).evaluate(12, Network(all_fit))
    assert len(waited) == 2  # nothing to learn


@pytest.mark.parametrize(("device", "emptied"), [("cpu", 0), ("cuda:1", 1)])
def test_empties_the_cache_of_cuda_alone(monkeypatch: pytest.MonkeyPatch, device: str, emptied: int) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(1))
    evaluator = ChunkedEvaluator(8, device=lambda: torch.device(device))
    evaluator.evaluate(8, Network(lambda number: 4))
    assert len(calls) == emptied
