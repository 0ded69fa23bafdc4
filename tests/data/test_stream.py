import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.batch import Batch
from pipeline.data.decode import read_image
from pipeline.data.image_index import index_folder
from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.data.stream import stream
from pipeline.errors import Failure

PREPROCESSING = Preprocessing(40, (32, 24), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
BAD = {3: b"", 4: b"no image", 5: None}  # the file of number 5 is missing

in_process_and_workers = pytest.mark.parametrize("num_workers", [0, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of different sizes, some of them bad."""
    folder = tmp_path_factory.mktemp("images")
    numbers = np.random.default_rng(0)
    for number in range(12):
        size = (50 + 3 * number, 61 - number, 3)
        Image.fromarray(numbers.integers(256, size=size, dtype=np.uint8)).save(folder / f"{number:02d}.png")
    for number, content in BAD.items():
        path = folder / f"{number:02d}.png"
        path.write_bytes(content) if content is not None else path.unlink()
    return folder


@pytest.fixture
def paths() -> ImagePaths:
    return ImagePaths.from_bytes(b"%02d.png" % number for number in range(12))


def run(
    folder: Path, paths: Sequence[bytes] | ImagePaths, batches: Sequence[Sequence[int]], num_workers: int
) -> list[Batch]:
    return list(stream(folder, paths, PREPROCESSING, iter(batches), num_workers=num_workers, pin_memory=False))


@in_process_and_workers
def test_images_come_in_the_order_of_the_batches(folder: Path, paths: ImagePaths, num_workers: int) -> None:
    batches = [[11, 2], [0], [7, 6, 8, 7], [1, 9]]
    decoded = run(folder, paths, batches, num_workers)
    assert [batch.index.tolist() for batch in decoded] == batches
    for batch in decoded:
        assert batch.failures == []
        assert batch.index.dtype == np.int64
        assert batch.crop.dtype == np.int32
        assert batch.pixels.dtype == torch.uint8
        for row, number in enumerate(batch.index):
            pixels, crop = PREPROCESSING(read_image(folder / f"{number:02d}.png"))
            assert torch.equal(batch.pixels[row], pixels)
            assert batch.crop[row].tolist() == crop.tolist()


@in_process_and_workers
def test_bad_images_in_the_middle(folder: Path, paths: ImagePaths, num_workers: int) -> None:
    mixed, only_bad, after = run(folder, paths, [[2, 3, 6], [5, 4], [7]], num_workers)
    assert mixed.index.tolist() == [2, 6]
    assert mixed.pixels.shape == (2, 3, 32, 24)
    assert mixed.failures == [Failure(3, "read", "the file is empty")]
    assert only_bad.pixels.shape == (0, 3, 32, 24)
    assert only_bad.pixels.dtype == torch.uint8
    assert only_bad.index.shape == (0,)
    assert only_bad.index.dtype == np.int64
    assert only_bad.crop.shape == (0, 6)
    assert [failure.index for failure in only_bad.failures] == [5, 4]
    assert only_bad.failures[0].error == "No such file or directory"
    assert "no image of a known format" in only_bad.failures[1].error
    assert after.index.tolist() == [7]


@in_process_and_workers
def test_a_strip_that_cannot_be_resized_is_a_failure(tmp_path: Path, num_workers: int) -> None:
    Image.new("L", (60000, 1)).save(tmp_path / "strip.png")
    settings = Preprocessing(256, (224, 224), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    (batch,) = stream(
        tmp_path, ImagePaths.from_bytes([b"strip.png"]), settings, [[0]], num_workers=num_workers, pin_memory=False
    )
    assert batch.pixels.shape == (0, 3, 224, 224)
    assert batch.failures == [Failure(0, "read", "too narrow to resize: 60000 x 1 pixels")]


@in_process_and_workers
def test_batches_are_prefetched_two_a_worker(folder: Path, paths: ImagePaths, num_workers: int) -> None:
    drawn = 0

    def endless() -> Iterator[list[int]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield [drawn % 3]

    batches = stream(folder, paths, PREPROCESSING, endless(), num_workers=num_workers, pin_memory=False)
    assert drawn == 0
    for received in range(1, 20):
        assert next(batches).index.tolist() == [received % 3]
        assert received <= drawn <= received + 2 * num_workers
    batches.close()


def test_closing_early_ends_the_workers(folder: Path, paths: ImagePaths) -> None:
    before = set(active_children())
    batches = stream(folder, paths, PREPROCESSING, [[0]] * 50, num_workers=2, pin_memory=False)
    next(batches)
    assert len(set(active_children()) - before) == 2
    batches.close()
    assert not set(active_children()) - before


def test_workers_ignore_interrupts(folder: Path, paths: ImagePaths) -> None:
    before = set(active_children())
    batches = stream(
        folder, paths, PREPROCESSING, [[number % 3] for number in range(30)], num_workers=2, pin_memory=False
    )
    received = [next(batches), next(batches)]  # one of each worker, so both have started
    for worker in set(active_children()) - before:
        os.kill(worker.pid, signal.SIGINT)
    received += batches
    assert [batch.index.item() for batch in received] == [number % 3 for number in range(30)]


@in_process_and_workers
def test_no_batches(folder: Path, paths: ImagePaths, num_workers: int) -> None:
    assert run(folder, paths, [], num_workers) == []


@in_process_and_workers
def test_names_of_any_bytes(folder: Path, tmp_path: Path, num_workers: int) -> None:
    names = [b"a b.png", b"new\nline.png", b"\xff\xfe.png"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes((folder / "00.png").read_bytes())
    index = index_folder(tmp_path, labels=False)
    (batch,) = run(tmp_path, index.paths, [[0, 1, 2]], num_workers)
    assert batch.failures == []
    assert len(batch.pixels) == 3


def test_the_global_generator_is_left_alone(folder: Path, paths: ImagePaths) -> None:
    state = torch.get_rng_state()
    run(folder, paths, [[0], [1]], 0)
    run(folder, paths, [[0], [1]], 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs a GPU")
@in_process_and_workers
def test_page_locked_memory_where_requested(folder: Path, paths: ImagePaths, num_workers: int) -> None:
    for requested in (True, False):
        (batch,) = stream(folder, paths, PREPROCESSING, [[0, 3]], num_workers=num_workers, pin_memory=requested)
        assert batch.pixels.is_pinned() is requested
        assert batch.failures == [Failure(3, "read", "the file is empty")]
