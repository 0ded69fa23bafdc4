"""The job of a run's folder, as its first start froze it: no image is listed again."""

import os
from pathlib import Path

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.errors import StoreError, UsageError
from pipeline.run.identity import IMAGES, identity_of
from pipeline.run.job import Job, build_method, find_device, load_classifier, set_precision
from pipeline.run.option_ranges import check
from pipeline.run.provenance import CONFIG, read_config
from pipeline.store.manifest import Manifest
from pipeline.system.configuration import Config

OF_THE_MACHINE = ("batch_size", "internal_batch_size", "num_workers")


def stored_job(run: Path, config: Config) -> Job:
    """Loads what a run's config.yaml and manifest say; code that they name runs only if the command line names it too.

    Args:
        run: The run's folder.
        config: This command line's configuration: it says what is its machine's own, such as the device, and what
            is to be tried again.

    Raises:
        UsageError: The folder is no run's, or names code that the command line does not.
        StoreError: It is damaged.
    """
    manifest, stored = Manifest.open(run), read_config(run)
    try:
        check(stored)
        if runs_code(stored["model"]) and stored["model"] != config["model"]:
            raise UsageError(
                f"run={run}: its config.yaml names code to run: give model=checkpoint and the options of model "
                "as in the folder's command"
            )
        return _load(run, manifest, stored | _later(config, stored) | _own(config, stored))
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{run / CONFIG} is damaged: {error}") from error


def _own(config: Config, stored: Config) -> Config:
    sizes = {name: stored[name] if config[name] is None else config[name] for name in OF_THE_MACHINE}
    return {**sizes, "device": find_device(config["device"]), "retry_failed": config["retry_failed"]}


def _later(config: Config, stored: Config) -> Config:
    """The groups whose options may have become more since the run was made; what it does not say is the default."""
    return {group: config[group] | stored[group] for group in ("engine", "store")}


def _load(run: Path, manifest: Manifest, config: Config) -> Job:
    set_precision(config["dtype"])
    classifier = load_classifier(config)
    method, geometry = build_method(config, classifier)
    identity = identity_of(config, classifier, manifest.identity[IMAGES])
    index = ImageIndex(manifest.paths, np.broadcast_to(np.int32(-1), len(manifest)), [])
    root = os.fsdecode(manifest.root)
    return Job(config, classifier, method, geometry, index, manifest.label, root, identity, run)


def runs_code(model: Config) -> bool:
    """Whether the options of a model name code of the user's own."""
    return bool(model.get("factory")) or str(model.get("weights")).endswith(".pt2")
