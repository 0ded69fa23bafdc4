"""The files for Kubernetes, checked against its schemas and the command line; no cluster is needed."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipeline.run.option_ranges import check_ranges
from tests.conftest import Compose

FOLDER = Path(__file__).parents[2] / "scripts" / "k8s"
VERSIONS = ("1.33", "1.37")


@pytest.fixture
def jobs() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "job.yaml").read_text()))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_jobs_follow_the_schema(jobs: list[dict[str, Any]], version: str) -> None:
    for job in jobs:
        kubernetes_validate.validate(job, version, strict=True)
    jobs[1]["spec"]["backOffLimitPerIndex"] = jobs[1]["spec"].pop("backoffLimitPerIndex")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(jobs[1], version, strict=True)


def test_the_commands_compose(jobs: list[dict[str, Any]], compose: Compose) -> None:
    start, work = (job["spec"]["template"]["spec"]["containers"][0]["args"] for job in jobs)
    named = ["model=torchvision", "model.name=resnet50"]  # as __main__ has it
    frozen, _ = compose(*(argument for argument in start if argument != "model=resnet50"), *named)
    check_ranges(frozen)
    index = "$(JOB_COMPLETION_INDEX)"
    assert any(index in argument for argument in work)
    worker, choices = compose(*(argument.replace(index, "31") for argument in work))
    check_ranges(worker)
    assert choices["task"] == "work" and worker["task"]["worker"] < worker["task"]["workers"]
    assert worker["run"] == frozen["output_dir"]
    spec = jobs[1]["spec"]
    assert spec["completionMode"] == "Indexed"
    counts = (spec["parallelism"], spec["completions"], frozen["launch"]["workers"], worker["task"]["workers"])
    assert set(counts) == {32}
    (waits,) = (container["command"][-1] for container in spec["template"]["spec"]["initContainers"])
    assert f"{worker['run']}/config.yaml" in waits


def test_the_image_has_what_is_copied_into_it() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    sources = [name for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert sources and all((FOLDER.parents[1] / name).exists() for name in sources)
    assert 'ENTRYPOINT ["python", "-m", "pipeline"]' in text
