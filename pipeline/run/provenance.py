"""What a run says of itself: config.yaml in its folder, attributes in its shards."""

import logging
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import StoreError, UsageError
from pipeline.run.identity import smoothing, viewing
from pipeline.run.job import Job
from pipeline.store.atomic import publish, replace
from pipeline.store.object_store import is_object
from pipeline.system.configuration import Config
from pipeline.system.redaction import redacted, without_secrets
from pipeline.system.signals import Stopped

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
PACKAGES = ("image-attribution-pipeline", "torch", "torchvision", "numpy", "h5py", "pillow")


def attributes(job: Job) -> dict[str, Any]:
    """What each shard says of its rows, besides what the manifest knows."""
    options = {key: value for key, value in job.config["method"].items() if key != "_target_"}
    return {
        "method": job.config["names"]["method"],
        "options": redacted(options | smoothing(job.config) | viewing(job.config)),
        "target_option": job.config["target"],
        "output": job.config["output"],
        "dtype": job.config["dtype"],
        "channels": job.config["store"]["channels"],
        "geometry": job.geometry.to_json(),
        "model": job.classifier.name,
        "weights_sha256": job.classifier.weights_sha256,
        "versions": versions(),
    }


def write_config(job: Job) -> bool:
    """Writes config.yaml, as the first start had it.

    Returns:
        Whether this start is the first.
    """
    data = job.config["data"]
    described = {
        "command": shlex.join(["python", "-m", "pipeline", *sys.argv[1:]]),
        "git_commit": git_commit(),
        "versions": versions(),
        "fingerprint_of": job.identity,
        **job.config,
        "device": job.config["device"] if job.config["names"]["launch"] == "local" else "auto",  # each worker's own
        "data": {**data, "root": data["root"] and job.root},  # absolute: a repair may start in another folder
    }
    return publish(yaml.safe_dump(redacted(described), sort_keys=False).encode(), job.run / CONFIG)


def read_config(run: Path) -> Config:
    """The stored configuration, as data.

    Raises:
        StoreError: It is damaged or not there.
    """
    path = run / CONFIG
    try:
        stored = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise StoreError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(stored, dict):
        raise StoreError(f"{path} is damaged: it holds no options")
    return stored


@contextmanager
def run_log(run: Path, name: str = "run.log") -> Iterator[None]:
    """Copies what is logged inside the context, and the error that ends it, to the end of a file, with the time.

    Args:
        run: The run's folder.
        name: Of the file in it.

    Raises:
        UsageError: The folder cannot be made, or not be written to.
    """
    if is_object(run):
        with _put_afterwards(run / name) as folder, run_log(folder, name):
            yield
        return
    try:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(run / name, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"output_dir={run}: {error.filename}: {error.strerror}") from error
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    except (UsageError, StoreError, Stopped) as error:
        handler.last(str(error))
        raise
    except BaseException:  # said in the log, and raised again
        handler.last("ended by what nobody foresaw", exc_info=sys.exc_info())
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        with suppress(OSError):  # what a full disk did not take before
            handler.close()


@contextmanager
def _put_afterwards(path: Path) -> Iterator[Path]:
    """A folder of this machine; what a file of this name in it holds at the end is put behind what is there already."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder)
        finally:
            written = [file.read_bytes() for file in Path(folder).rglob(path.name)]
            before = path.read_bytes() if path.exists() else b""
            replace(b"".join([before, *written]), path)


class _LogFile(logging.FileHandler):
    """A file of lines; one that cannot be written is dropped: whatever stops the run is said on standard error too."""

    def _open(self) -> TextIOWrapper:
        def opener(path: str, flags: int) -> int:  # never through a link, never waiting for who reads a pipe
            return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

        return TextIOWrapper(BufferedWriter(FileIO(self.baseFilename, "a", opener=opener)), self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def last(self, message: str, exc_info: Any = None) -> None:
        """A line in this file alone: the command line says it to the user."""
        self.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, message, (), exc_info))


class _Formatter(logging.Formatter):
    """Lines without the passwords of addresses."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


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
