"""Resume: the job of a run's folder, as its first start froze it. No image is listed again."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.errors import StoreError, UsageError
from pipeline.run.device_transfer import find_device, set_precision
from pipeline.run.identity import IMAGES, identity_of
from pipeline.run.job import Job, build_method, load_classifier
from pipeline.run.options import RunOptions
from pipeline.run.provenance import CONFIG, PROVENANCE, read_config
from pipeline.store.manifest import Manifest
from pipeline.system.configuration import Config
from pipeline.system.packaged_options import MANDATORY, packaged_choices, packaged_defaults

log = logging.getLogger(__name__)


def stored_job(run: Path, options: RunOptions) -> Job:
    """Loads the job that a run's config.yaml and manifest describe.

    Code that they name runs only if the command line names it too.

    Args:
        run: The run's folder.
        options: Of this command line: those of the machine (device, sizes of batches, decoding processes) replace the
            stored ones, and ``retry_failed``.

    Raises:
        UsageError: The folder is no run's, or names code that the command line does not.
        StoreError: It is damaged.
    """
    manifest = Manifest.open(run)
    try:
        stored = stored_options(run)
        if runs_code(stored.model) and stored.model != options.model:
            raise UsageError(
                f"run={run}: its config.yaml names code to run: give model=checkpoint and the options of model "
                "as in the folder's command"
            )
        return _load(run, manifest, _on_this_machine(stored, options))
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{run / CONFIG} is damaged: {error}") from error


def stored_options(run: Path) -> RunOptions:
    """Reads the options of a run's config.yaml, of this version or an older one.

    An option that it lacks takes the packaged default. One that this version does not know is ignored, with a warning:
    if it decides the numbers of the run, it is part of the manifest's identity, which then does not match.

    Raises:
        UsageError: A value is outside its range.
        StoreError: The file is damaged.
    """
    stored = read_config(run)
    try:
        names = packaged_choices() | stored.pop("names")
        defaults = packaged_defaults(names)
    except UsageError as error:
        raise StoreError(f"{run / CONFIG} is damaged, or of a newer version: {error}") from error
    if unknown := sorted({name for name, _ in _leaves(stored)} - {name for name, _ in _leaves(defaults)}):
        log.warning("%s: ignored, as this version has no such option: %s", run / CONFIG, ", ".join(unknown))
    config = _with_defaults(stored, defaults)
    if missing := [name for name, value in _leaves(config) if value == MANDATORY]:
        raise StoreError(f"{run / CONFIG} is damaged: {', '.join(missing)} must be given, there is no default")
    return RunOptions.from_config(config, names)


def _with_defaults(stored: Config, defaults: Config) -> Config:
    """Every option of ``defaults``, with its stored value if it has one."""
    return {
        name: _with_defaults(stored.get(name, {}), value) if isinstance(value, dict) else stored.get(name, value)
        for name, value in defaults.items()
    }


def _leaves(config: Config, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted name and value of each option, without the provenance."""
    for name, value in config.items():
        if isinstance(value, dict) and name not in PROVENANCE:
            yield from _leaves(value, f"{prefix}{name}.")
        elif prefix or name not in PROVENANCE:
            yield prefix + name, value


def _on_this_machine(stored: RunOptions, options: RunOptions) -> RunOptions:
    """The stored options, with those of the machine as this command line has them."""

    def given_or(value: int | None, stored_value: int | None) -> int | None:
        return stored_value if value is None else value

    return replace(
        stored,
        device=find_device(options.device),
        batch_size=given_or(options.batch_size, stored.batch_size),
        internal_batch_size=given_or(options.internal_batch_size, stored.internal_batch_size),
        num_workers=given_or(options.num_workers, stored.num_workers),
        retry_failed=options.retry_failed,
    )


def _load(run: Path, manifest: Manifest, options: RunOptions) -> Job:
    set_precision(options.dtype)
    classifier = load_classifier(options)
    method, geometry = build_method(options, classifier)
    identity = identity_of(options, classifier, manifest.identity[IMAGES])
    index = ImageIndex(manifest.paths, np.broadcast_to(np.int32(-1), len(manifest)), [])
    root = os.fsdecode(manifest.root)
    return Job(options, classifier, method, geometry, index, manifest.label, root, identity, run)


def runs_code(model: Config) -> bool:
    """True if the options of a model name code of the user's own."""
    return bool(model.get("factory")) or str(model.get("weights")).endswith(".pt2")
