"""Worker processes that are killed, as by the out-of-memory killer."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data import decoder_isolation
from pipeline.data import stream as streaming
from pipeline.data.batch import Batch
from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.data.stream import stream
from pipeline.errors import UsageError

PREPROCESSING = Preprocessing(40, (32, 24), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        Image.new("RGB", (50, 60)).save(tmp_path / f"{number}.png")
    return tmp_path


def started(folder: Path, preprocessing: Preprocessing = PREPROCESSING):
    paths = ImagePaths.from_bytes(b"%d.png" % number for number in range(COUNT))
    return stream(folder, paths, preprocessing, iter([[n] for n in range(COUNT)]), num_workers=1, pin_memory=False)


def test_a_killed_worker_is_started_again_and_no_batch_is_lost(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    received: list[Batch] = []
    handler = signal.getsignal(signal.SIGCHLD)
    for batch in started(folder):
        received.append(batch)
        assert signal.getsignal(signal.SIGCHLD) == handler
        if len(received) in (2, 5):
            for worker in active_children():
                worker.kill()
    assert [batch.index.item() for batch in received] == list(range(COUNT))
    assert caplog.text.count("a decoding process was killed: started again, from '") >= 1


class Deadly(Preprocessing):
    """Kills the process that decodes a red image, as an image does that takes all memory."""

    def __call__(self, image):
        if image.getpixel((0, 0)) == (255, 0, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(image)


def deadly() -> Deadly:
    return Deadly(PREPROCESSING.resize, PREPROCESSING.crop, PREPROCESSING.mean, PREPROCESSING.std)


@pytest.mark.slow
def test_an_image_that_kills_every_worker_is_isolated_and_a_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_isolation, "MAX_TRIES", 2)
    monkeypatch.setattr(streaming, "MAX_WORKER_DEATHS", 2)  # PyTorch takes five seconds to notice each
    Image.new("RGB", (50, 60), "red").save(folder / "3.png")
    batches = list(started(folder, deadly()))
    assert [batch.index.tolist() for batch in batches] == [[0], [1], [2], [], [4], [5], [6], [7]]
    failures = [failure for batch in batches for failure in batch.failures]
    assert [(failure.index, failure.stage) for failure in failures] == [(3, "killed")]
    assert "died 2 times" in failures[0].error
    assert batches[3].pixels.shape == (0, 3, 32, 24)


@pytest.mark.slow
def test_many_killed_images_in_a_row_end_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_isolation, "MAX_KILLED_IN_A_ROW", 2)
    monkeypatch.setattr(decoder_isolation, "MAX_TRIES", 1)
    monkeypatch.setattr(streaming, "MAX_WORKER_DEATHS", 1)
    for number in range(COUNT):
        Image.new("RGB", (50, 60), "red").save(folder / f"{number}.png")
    with pytest.raises(UsageError, match=r"killed at 2 images in a row, up to '1\.png'.*num_workers"):
        list(started(folder, deadly()))
