from pathlib import Path

import pytest

from tests.commands import command

SHARE = 0.05


@pytest.mark.slow
def test_memory_of_ig_does_not_grow_with_the_steps(tiny: list[str], tmp_path: Path) -> None:
    """Peak resident memory of whole processes; four images x 1000 steps would be 150 MB of points alone."""

    def peak(steps: int, chunk: int) -> int:
        sizes = (f"n_steps={steps}", f"internal_batch_size={chunk}", "batch_size=4", "data.limit=4")
        run = f"output_dir={tmp_path / f'{steps}-{chunk}'}"
        answer = command(*tiny, "data.transform.resize=64", "data.transform.crop=64", *sizes, run, folder=tmp_path)
        assert answer.status == 0, answer.err
        return answer.peak

    few = peak(50, 50)
    assert abs(peak(1000, 50) / few - 1) < SHARE
    assert peak(1000, 4000) / few - 1 > 3 * SHARE, "this would not notice memory that grows"
