"""The search for the fastest chunk size, on machines whose time for a chunk is known."""

from collections.abc import Callable

import pytest

from pipeline.engine.chunk_size import FIRST_CHUNK, LARGEST_CHUNK, ChunkSize


def search(seconds: Callable[[int], float]) -> tuple[int, list[int]]:
    """The size that is found where a chunk of n pairs takes ``seconds(n)``, and all sizes that were tried."""
    size, tried = ChunkSize(None), []
    while size.searching:
        tried.append(size.current)
        size.observe(seconds(size.current))
    assert size.learned == size.current
    return size.current, tried


def test_it_grows_while_a_pair_gets_cheaper() -> None:
    found, tried = search(lambda pairs: 1 + 0.001 * pairs)  # a launch costs far more than a pair
    assert found == LARGEST_CHUNK and tried[:3] == [FIRST_CHUNK, FIRST_CHUNK, 2 * FIRST_CHUNK]


def test_it_finds_the_size_beyond_which_the_cache_is_too_small() -> None:
    found, tried = search(lambda pairs: 1 + 0.1 * pairs + (0 if pairs <= 24 else 0.5 * (pairs - 24)))
    assert found == 24 and max(tried) == 32  # 16 beats 32, and 24 beats 16


def test_equal_times_keep_the_smaller_size() -> None:
    assert search(lambda pairs: float(pairs))[0] == FIRST_CHUNK


def test_a_given_size_is_neither_searched_nor_replaced() -> None:
    size = ChunkSize(7)
    size.start_at(24)
    assert (size.current, size.searching, size.learned) == (7, False, None)
    with pytest.raises(ValueError, match="whole number from 1, not 0"):
        ChunkSize(0)


def test_halving_ends_the_search_and_one_pair_is_the_end() -> None:
    size = ChunkSize(None)
    assert size.halve() and size.halve() and not size.searching and size.current == 1
    assert not size.halve() and size.current == FIRST_CHUNK
