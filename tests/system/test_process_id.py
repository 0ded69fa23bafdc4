import os
import subprocess
import sys

from pipeline.system.process_id import is_dead, machine_id


def test_a_living_process_is_not_dead() -> None:
    assert not is_dead(machine_id(), os.getpid())
    assert not is_dead(machine_id(), 1)


def test_a_process_that_has_ended_is_dead_before_and_after_its_parent_waits_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert is_dead(machine_id(), process.pid)
    process.wait()
    assert is_dead(machine_id(), process.pid)


def test_nothing_is_known_of_a_process_on_another_machine() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_dead("another.1", process.pid)
