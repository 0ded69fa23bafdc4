"""Provenance of a run: config.yaml in its folder, attributes in its shards."""

import platform
import shlex
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import StoreError
from pipeline.run.identity import method_options, smooth_options, view_options
from pipeline.run.job import Job
from pipeline.store.atomic import publish
from pipeline.system.configuration import Config
from pipeline.system.redaction import redact

CONFIG = "config.yaml"
PROVENANCE = ("command", "git_commit", "versions", "fingerprint_of")
"""Keys of config.yaml besides the options."""
PACKAGES = ("image-attribution-pipeline", "torch", "torchvision", "numpy", "h5py", "pillow")


def shard_attributes(job: Job) -> dict[str, Any]:
    """Attributes of each shard about its rows, besides those of the manifest."""
    options = job.options
    return {
        "method": options.names.method,
        "options": redact(method_options(options) | smooth_options(options) | view_options(options)),
        "target_option": options.target,
        "output": options.output,
        "dtype": options.dtype,
        "channels": options.store.channels,
        "geometry": job.geometry.to_json(),
        "model": job.classifier.name,
        "weights_sha256": job.classifier.weights_sha256,
        "versions": versions(),
    }


def write_config(job: Job) -> bool:
    """Writes config.yaml, unless an earlier start did.

    Returns:
        True if this start is the first.
    """
    data = replace(job.options.data, root=job.options.data.root and job.root)  # absolute: a repair may start elsewhere
    device = job.options.device if job.options.is_local else "auto"  # each worker finds its own
    described = {
        "command": shlex.join(["python", "-m", "pipeline", *sys.argv[1:]]),
        "git_commit": git_commit(),
        "versions": versions(),
        "fingerprint_of": job.identity,
        **replace(job.options, data=data, device=device).to_config(),
    }
    return publish(yaml.safe_dump(redact(described), sort_keys=False).encode(), job.run / CONFIG)


def read_config(run: Path) -> Config:
    """Reads the stored configuration as data: nothing in it is instantiated.

    Raises:
        StoreError: It is damaged or missing.
    """
    path = run / CONFIG
    try:
        stored = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise StoreError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(stored, dict):
        raise StoreError(f"{path} is damaged: expected options, found {type(stored).__name__}")
    return stored


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that was never installed
            installed[package] = "not installed"
    return installed


def git_commit() -> str | None:
    """The commit of the checkout that runs, or None outside one."""
    try:
        folder = Path(__file__).resolve().parent
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git
        return None
    return git.stdout.strip() or None
