"""Progress of workers, read from the run's folder alone."""

import shutil
from pathlib import Path

import pytest

from pipeline.launch import FrozenRun
from pipeline.launch.watch import Watch
from pipeline.run.launch_options import LaunchOptions
from pipeline.run.loop import freeze_run, run_job
from pipeline.run.worker import WorkerShards
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest
from tests.conftest import Prepare


@pytest.fixture
def arguments(dataset: Path, tmp_path: Path) -> tuple[str, ...]:
    """A run of six shards of two images, two explanations each; one image is broken."""
    root = tmp_path / "photographs"
    shutil.copytree(dataset, root)
    next(iter(sorted(root.rglob("*.jpg")))).write_text("no photograph")
    return ("method=saliency", "target=top2", "store.shard_size=2", f"data.root={root}")


def frozen_run(job: Prepare, *arguments: str) -> FrozenRun[LaunchOptions]:
    prepared = job(*arguments)
    return FrozenRun(prepared, freeze_run(prepared)[0], prepared.options, prepared.options.launch)


def work(job: Prepare, arguments: tuple[str, ...], worker: int) -> None:
    """Computes every third shard."""
    run_job(job(*arguments), StopRequest(), share=WorkerShards(worker, 3, helps=False))


def test_published_shards_are_counted_once(job: Prepare, arguments: tuple[str, ...]) -> None:
    frozen = frozen_run(job, *arguments)
    work(job, arguments, 2)
    with Progress(24) as progress:
        watch = Watch(frozen, progress)
        assert (progress.done, progress.new, watch.missing, watch.done) == (8, 0, 4, False)
        for worker, missing in ((0, 2), (1, 0)):
            work(job, arguments, worker)
            watch.poll(now=True)
            assert watch.missing == missing
            watch.poll(now=True)
        assert (progress.done, progress.new, progress.failed) == (24, 16, 1)
        assert watch.done


def test_polls_shortly_after_each_other_do_nothing(job: Prepare, arguments: tuple[str, ...]) -> None:
    frozen = frozen_run(job, *arguments)
    with Progress(24) as progress:
        watch = Watch(frozen, progress)
        watch.poll()
        work(job, arguments, 0)
        watch.poll()
        assert watch.missing == 6
        watch.poll(now=True)
        assert watch.missing == 4


def test_workers_that_retry_alone_know_when_they_end(job: Prepare, arguments: tuple[str, ...]) -> None:
    run_job(job(*arguments), StopRequest())
    with Progress(24) as progress:
        watch = Watch(frozen_run(job, *arguments, "retry_failed=true"), progress)
        assert not watch.missing and not watch.done
