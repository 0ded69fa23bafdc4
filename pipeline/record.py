"""What a run says of itself: config.yaml in its folder, attributes in its shards."""

import logging
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UsageError
from pipeline.job import Job, smoothing, viewing
from pipeline.store.publish import publish

PACKAGES = ("image-attribution-pipeline", "torch", "torchvision", "numpy", "h5py", "pillow")


def attributes(job: Job) -> dict[str, Any]:
    """What each shard says of its rows, besides what the manifest knows."""
    options = {key: value for key, value in job.config["method"].items() if key != "_target_"}
    return {
        "method": job.config["names"]["method"],
        "options": options | smoothing(job.config) | viewing(job.config),
        "target_option": job.config["target"],
        "output": job.config["output"],
        "dtype": job.config["dtype"],
        "channels": job.config["store"]["channels"],
        "geometry": job.geometry.to_json(),
        "model": job.classifier.name,
        "weights_sha256": job.classifier.weights_sha256,
        "versions": versions(),
    }


def write_config(job: Job) -> None:
    """Writes config.yaml, as the first start had it."""
    data = job.config["data"]
    described = {
        "command": shlex.join(["python", "-m", "pipeline", *sys.argv[1:]]),
        "git_commit": git_commit(),
        "versions": versions(),
        "fingerprint_of": job.identity,
        **job.config,
        "data": {**data, "root": data["root"] and str(job.root)},  # absolute: a repair may start in another folder
    }
    publish(memoryview(yaml.safe_dump(described, sort_keys=False).encode()), job.run / "config.yaml")


@contextmanager
def run_log(run: Path) -> Iterator[None]:
    """Copies what is logged inside the context to the end of run.log in the run's folder, with the time.

    Raises:
        UsageError: The folder cannot be made, or not be written to.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(run / "run.log", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"output_dir={run}: {error.filename}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that was never installed
            found[package] = "not installed"
    return found


def git_commit() -> str | None:
    """The commit of the checkout that runs, or None outside one."""
    try:
        folder = Path(__file__).resolve().parent
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git
        return None
    return asked.stdout.strip() or None
