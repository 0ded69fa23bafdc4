"""A run's config.yaml is read by this version although it lacks options, has unknown ones, or is damaged."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.run.loop import freeze_run
from pipeline.run.options import RunOptions
from pipeline.run.provenance import PROVENANCE
from pipeline.run.resume import runs_code, stored_job, stored_options
from pipeline.store.verify import verify
from pipeline.system.configuration import Config
from tests.conftest import Compose, Prepare, Status
from tests.shards import hashes

EXACT = ("dtype=float64", "store.dtype=float64", "n_steps=5", "store.shard_size=1")
GIVEN = {
    "data.transform.resize": "another job",
    "data.transform.crop": "another job",
    "n_steps": None,  # the method's node has it too, and counts
    "method.n_steps": "another job",
    "store.dtype": "another job",
    "dtype": "another job",
    "model.weights": "model.weights must be given",
    "model.factory": "exactly one of",
    "model.allow": "names code to run",
}
"""Options of the test's run that are not at their defaults and decide its numbers, and what their loss leads to."""


@pytest.fixture
def run(job: Prepare) -> Path:
    """The folder of a run that has started, and has no shard yet."""
    prepared = job(*EXACT, "data.limit=2")
    freeze_run(prepared)
    return prepared.run


@pytest.fixture
def worker(tiny: list[str], run: Path) -> list[str]:
    """The command line of a worker; it repeats the options that name code."""
    return ["task=work", f"run={run}", *(argument for argument in tiny if argument.startswith("model"))]


@pytest.fixture
def options(compose: Compose, worker: list[str]) -> RunOptions:
    return RunOptions.from_config(*compose(*worker, "device=cpu", "num_workers=0"))


def read(run: Path) -> Config:
    stored: Config = yaml.safe_load((run / "config.yaml").read_text())
    return stored


def write(run: Path, config: Config) -> None:
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def leaves(config: Config, prefix: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def without(config: Config, option: str) -> Config:
    name, _, rest = option.partition(".")
    if rest:
        return {**config, name: without(config[name], rest)}
    return {other: value for other, value in config.items() if other != name}


def test_a_run_resumes_without_any_one_of_its_options(run: Path, options: RunOptions) -> None:
    """As if that option had been added by a later version: it has its default."""
    stored = read(run)
    config = {name: value for name, value in stored.items() if name not in (*PROVENANCE, "names")}
    removed = list(leaves(config))
    assert len(removed) > 50 and GIVEN.keys() <= set(removed)
    complete = replace(stored_options(run), composed={})
    for option in removed:
        write(run, without(stored, option))
        if message := GIVEN.get(option):
            with pytest.raises((StoreError, UsageError), match=message):
                freeze_run(stored_job(run, options))
        elif replace(stored_options(run), composed={}) != complete:  # else it is the same job
            assert not freeze_run(stored_job(run, options))[1], option


def test_the_demos_photographs_are_not_written_among_the_users(run: Path, options: RunOptions, dataset: Path) -> None:
    before = sorted(dataset.rglob("*"))
    write(run, without(read(run), "data.root"))
    assert not freeze_run(stored_job(run, options))[1]
    assert sorted(dataset.rglob("*")) == before


def test_a_run_resumes_without_any_one_of_its_groups(run: Path, options: RunOptions) -> None:
    stored = read(run)
    for group in ("engine", "launch", "report", "smooth", "task", "view"):
        write(run, {name: value for name, value in stored.items() if name != group})
        assert not freeze_run(stored_job(run, options))[1]
    write(run, {**stored, "names": {group: name for group, name in stored["names"].items() if group != "engine"}})
    assert not freeze_run(stored_job(run, options))[1]


def test_a_run_without_many_options_is_finished_by_a_worker(run: Path, worker: list[str], explain: Status) -> None:
    stored = read(run)
    for option in ("engine.compile", "store.features", "data.class_map", "report.images", "method.tol", "tol"):
        stored = without(stored, option)
    write(run, stored)
    assert explain(*worker, "device=cpu") == 0
    assert len(pipeline.open_run(run)) == 2 and verify(run).is_intact


def test_an_unknown_option_is_ignored_and_named(
    run: Path, options: RunOptions, caplog: pytest.LogCaptureFixture
) -> None:
    """It decides no number, or the manifest's identity would have it."""
    before, stored = stored_options(run), read(run)
    caplog.clear()
    write(run, {**stored, "versus": None, "store": {**stored["store"], "codec": 3}, "text": {"limit": 1}})
    after = stored_options(run)
    assert "no such option: store.codec, text.limit, versus" in caplog.text
    assert after == before
    assert not freeze_run(stored_job(run, options))[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": 5}, "damaged"),
        ({"names": 5}, "damaged"),
        ({"names": {"engine": "warp"}}, "of a newer version: engine=warp: no such choice"),
        ({"names": {"method": "../task/audit"}}, "no such choice"),
        ({"data": {"transform": None}}, "damaged"),
        ({"method": {"_target_": "os.mkdir"}}, "_target_"),
    ],
)
def test_a_damaged_or_newer_configuration_is_refused(
    run: Path, options: RunOptions, changes: dict[str, Any], message: str
) -> None:
    stored = read(run)
    merged = {name: {**stored[name], **value} if isinstance(value, dict) else value for name, value in changes.items()}
    write(run, {**stored, **merged})
    with pytest.raises((StoreError, UsageError), match=message):
        stored_job(run, options)


@pytest.mark.parametrize("change", [("method", "n_steps", 7), ("data", "transform", {"resize": 30, "crop": 32})])
def test_a_configuration_that_is_not_the_manifests_is_refused(
    run: Path, worker: list[str], explain: Status, change: tuple[str, str, object]
) -> None:
    stored = read(run)
    group, name, value = change
    stored[group][name] = {**stored[group][name], **value} if isinstance(value, dict) else value
    write(run, stored)
    with pytest.raises(StoreError, match="another job"):
        explain(*worker)
    assert not hashes(run)


def test_options_of_the_machine_are_the_command_lines(run: Path, compose: Compose, worker: list[str]) -> None:
    given = ("device=cpu", "num_workers=3", "internal_batch_size=7", "retry_failed=true", "seed=9", "n_steps=9")
    job = stored_job(run, RunOptions.from_config(*compose(*worker, *given)))
    assert (job.options.num_workers, job.options.internal_batch_size, job.options.retry_failed) == (3, 7, True)
    assert (job.options.batch_size, job.options.seed, job.options.method["n_steps"]) == (4, 0, 5)


def test_models_that_run_code() -> None:
    assert runs_code({"factory": "package:build"}) and runs_code({"weights": "/a/program.pt2"})
    assert not runs_code({"weights": "/a/weights.pth", "factory": None}) and not runs_code({"name": "resnet50"})
