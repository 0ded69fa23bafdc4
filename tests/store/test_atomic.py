import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.store.atomic import DiskFull, Unwritable, atomic_write, is_temporary, publish, remove_orphans
from pipeline.system.process_id import machine_id


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_first_publisher_wins_and_no_temporary_file_is_left(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    assert publish(b"first", path)
    assert not publish(b"second", path)
    assert path.read_bytes() == b"first"
    assert names(path.parent) == ["file"]


def test_an_atomic_write_replaces_the_file(tmp_path):
    publish(b"first", tmp_path / "file")
    atomic_write(b"second", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"second"
    assert names(tmp_path) == ["file"]


def test_the_umask_decides_who_can_read_a_file(tmp_path):
    publish(b"", tmp_path / "file")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


def test_exactly_one_of_many_concurrent_publishers_wins(tmp_path):
    won, path = [], tmp_path / "file"
    barrier = threading.Barrier(8)

    def race(number: int) -> None:
        barrier.wait()
        if publish(bytes([number]) * 1000, path):
            won.append(number)

    threads = [threading.Thread(target=race, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert path.read_bytes() == bytes(won) * 1000


def test_without_hard_links_the_file_is_renamed(tmp_path, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert publish(b"first", tmp_path / "file")
    assert not publish(b"second", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"first"
    assert names(tmp_path) == ["file"]


def test_another_error_is_not_taken_for_missing_hard_links(tmp_path, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(Unwritable, match="broken disk"):
        publish(b"first", tmp_path / "file")
    assert names(tmp_path) == []


def test_a_full_disk_is_reported_with_needed_and_free_bytes(small_disk):
    assert publish(bytes(600_000), small_disk / "fits")
    with pytest.raises(DiskFull, match=r"large needs 600,000 bytes, 4\d\d,\d\d\d are free") as caught:
        publish(bytes(600_000), small_disk / "large")
    assert isinstance(caught.value, StoreError)
    assert names(small_disk) == ["fits"]
    (small_disk / "fits").unlink()
    assert publish(bytes(600_000), small_disk / "large")


def test_temporary_files_of_dead_writers_and_old_ones_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = machine_id()
    left = {
        "dead": f".0000000.h5~{here}~{dead.pid}~0123abcd.tmp",
        "alive": f".0000000.h5~{here}~{os.getpid()}~0123abcd.tmp",
        "elsewhere": f".0000000.h5~elsewhere.1~{dead.pid}~0123abcd.tmp",
        "old": ".0000000.h5~elsewhere.1~1~0123abce.tmp",
        "other": ".something.tmp",
    }
    for name in left.values():
        (tmp_path / name).touch()
    long_ago = time.time() - 4000
    os.utime(tmp_path / left["old"], (long_ago, long_ago))
    remove_orphans(tmp_path)
    assert names(tmp_path) == sorted(left[key] for key in ("alive", "elsewhere", "other"))
    assert is_temporary(left["dead"]) and not is_temporary("0000000.h5")


def test_a_temporary_file_is_recognised_by_its_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Path, "hardlink_to", lambda self, target: seen.append(target.name))
    publish(b"", tmp_path / "0000000.rows-0-9.part")
    assert is_temporary(seen[0])
