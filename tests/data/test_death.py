"""Decoding processes that are killed, as a system short of memory does it."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data.paths import Paths
from pipeline.data.preprocessing import Preprocessing
from pipeline.data.stream import MOST_DEATHS, Batch, stream
from pipeline.errors import UsageError

PREPROCESSING = Preprocessing(40, (32, 24), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        Image.new("RGB", (50, 60)).save(tmp_path / f"{number}.png")
    return tmp_path


def started(folder: Path, preprocessing: Preprocessing = PREPROCESSING):
    paths = Paths.from_bytes(b"%d.png" % number for number in range(COUNT))
    return stream(folder, paths, preprocessing, iter([[n] for n in range(COUNT)]), num_workers=1, pin_memory=False)


def test_a_killed_process_is_started_again_and_nothing_is_lost(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    found: list[Batch] = []
    handler = signal.getsignal(signal.SIGCHLD)
    for batch in started(folder):
        found.append(batch)
        assert signal.getsignal(signal.SIGCHLD) == handler
        if len(found) in (2, 5):
            for worker in active_children():
                worker.kill()
    assert [batch.index.item() for batch in found] == list(range(COUNT))
    assert caplog.text.count("a decoding process was killed: started again, from '") >= 1


class Deadly(Preprocessing):
    """Ends the process that meets the fourth image, as an image does that takes all memory."""

    def __call__(self, image):
        if image.getpixel((0, 0)) == (255, 0, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(image)


@pytest.mark.slow
def test_what_kills_them_over_and_over_is_named(folder: Path) -> None:
    Image.new("RGB", (50, 60), "red").save(folder / "3.png")
    deadly = Deadly(PREPROCESSING.resize, PREPROCESSING.crop, PREPROCESSING.mean, PREPROCESSING.std)
    found: list[int] = []
    with pytest.raises(UsageError, match=rf"killed {MOST_DEATHS} times in a row, .*'[0-3]\.png' on.*num_workers"):
        found.extend(batch.index.item() for batch in started(folder, deadly))
    assert found == list(range(len(found))) and len(found) <= 3
