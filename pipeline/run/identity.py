"""What makes two jobs the same: all that decides the numbers, and nothing else."""

import hashlib
from pathlib import Path

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.models.classifier import Classifier
from pipeline.store.schema import SCHEMA_VERSION
from pipeline.system.configuration import Config

IMAGES = "data (list of images and labels)"
"""The name under which an identity has the sha256 of its list."""


def identity_of(config: Config, classifier: Classifier, images: str) -> Config:
    """What a fingerprint is made of, under the names that the command line has for it.

    Args:
        config: The composed configuration.
        classifier: Its network.
        images: Sha256 of the list of images and labels, hex.
    """
    options = {key: _content(value) for key, value in config["method"].items() if key != "_target_"}
    return {
        "method": config["names"]["method"],
        **options,
        **smoothing(config),
        **viewing(config),
        **{key: config[key] for key in ("target", "output", "seed", "dtype")},
        "store.dtype": config["store"]["dtype"],
        "store.channels": config["store"]["channels"],
        "store.features": config["store"]["features"],
        "model": classifier.name,
        "preprocessing": classifier.preprocessing.to_json(),
        "model.weights": classifier.weights_sha256,
        "model.multi_label": classifier.multi_label,
        IMAGES: images,
        "schema": SCHEMA_VERSION,
    }


def list_sha256(index: ImageIndex, labels: np.ndarray) -> str:
    """Sha256 of a list of images and their labels, hex."""
    images = hashlib.sha256()
    spans = [] if index.paths.spans is None else [index.paths.spans]  # an archive may be packed anew
    for part in (index.paths.blob, index.paths.offsets, labels, *spans):
        images.update(np.ascontiguousarray(part).data)
    return images.hexdigest()


def _content(value: object) -> object:
    """An option's value; of one that names a file, such as a baseline's picture, the content too."""
    if not isinstance(value, str) or not Path(value).is_file():
        return value
    return f"{value} (sha256 {hashlib.sha256(Path(value).read_bytes()).hexdigest()[:16]})"


def smoothing(config: Config) -> Config:
    """What is wrapped around the method, under the command line's names; empty for the method alone."""
    options = {f"smooth.{key}": value for key, value in config["smooth"].items() if key != "_target_"}
    return {} if config["names"]["smooth"] == "none" else {"smooth": config["names"]["smooth"], **options}


def viewing(config: Config) -> Config:
    """What is explained, under the command line's names; empty for a class in the pixels."""
    options = {key: value for key, value in config["view"].items() if key != "_target_"}
    return {} if config["names"]["view"] == "input" else {"view": config["names"]["view"], **options}
