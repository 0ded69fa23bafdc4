import threading
import time

import pytest

from pipeline.store.background_thread import BackgroundThread


def test_tasks_run_in_order_and_the_periodic_task_at_the_end() -> None:
    done: list[object] = []
    thread = BackgroundThread(lambda: done.append("periodic"), 60, ahead=2)
    for number in range(20):
        thread.put(lambda number=number: done.append(number))
    thread.close()
    assert done == [*range(20), "periodic"]


def test_the_periodic_task_runs_without_other_tasks() -> None:
    ran = threading.Event()
    thread = BackgroundThread(ran.set, 0.01)
    assert ran.wait(10)
    thread.close()


def test_put_blocks_while_the_queue_is_full() -> None:
    release, entered = threading.Event(), threading.Event()
    thread = BackgroundThread(lambda: None, 60, ahead=1)
    thread.put(lambda: entered.set() or (release.wait(10) and None))
    assert entered.wait(10)
    thread.put(lambda: None)
    threading.Timer(0.2, release.set).start()
    began = time.monotonic()
    thread.put(lambda: None)
    assert time.monotonic() - began > 0.1
    thread.close()


def test_an_error_ends_it_and_is_raised_again_and_again() -> None:
    def fail() -> None:
        raise OSError("no room")

    done: list[int] = []
    thread = BackgroundThread(lambda: None, 60)
    thread.put(fail)
    with pytest.raises(OSError, match="no room"):
        for _ in range(100):
            thread.put(lambda: done.append(1))
            time.sleep(0.01)
    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            thread.close()
    assert done == []


def test_a_closed_thread_refuses_tasks() -> None:
    thread = BackgroundThread(lambda: None, 60)
    thread.close()
    thread.close()
    with pytest.raises(ValueError, match="closed"):
        thread.put(lambda: None)
