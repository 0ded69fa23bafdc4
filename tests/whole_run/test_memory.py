from pathlib import Path

import pytest
from PIL import Image

from tests.commands import command

SHARE = 0.05
MOST_GROWTH = 0.03


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tiny: list[str], tmp_path: Path) -> None:
    """A short form of ``scripts/soak.py --images 2000 20000``."""

    def peak(count: int) -> int:
        images = tmp_path / f"images{count}"
        images.mkdir()
        Image.effect_noise((24, 20), 80).convert("RGB").save(images / "0.png")
        for number in range(1, count):
            (images / f"{number}.png").hardlink_to(images / "0.png")
        job = (f"data.root={images}", "data.labels=false", "method=saliency", "batch_size=16", "report.images=false")
        result = command(*tiny, *job, f"output_dir={tmp_path / str(count)}", folder=tmp_path)
        assert result.status == 0, result.err
        return result.peak

    few = peak(150)
    assert peak(1500) / few - 1 < MOST_GROWTH


@pytest.mark.slow
def test_memory_of_ig_does_not_grow_with_the_steps(tiny: list[str], tmp_path: Path) -> None:
    """Peak resident memory of whole processes; four images x 1000 steps would be 150 MB of points alone."""

    def peak(steps: int, chunk: int) -> int:
        sizes = (f"n_steps={steps}", f"internal_batch_size={chunk}", "batch_size=4", "data.limit=4")
        run = f"output_dir={tmp_path / f'{steps}-{chunk}'}"
        result = command(*tiny, "data.transform.resize=64", "data.transform.crop=64", *sizes, run, folder=tmp_path)
        assert result.status == 0, result.err
        return result.peak

    few = peak(50, 50)
    assert abs(peak(1000, 50) / few - 1) < SHARE
    assert peak(1000, 4000) / few - 1 > 3 * SHARE, "this would not notice memory that grows"
