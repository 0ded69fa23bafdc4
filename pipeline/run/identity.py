"""Identity of a run: every option and file that decides its numbers, and nothing else. Its sha256 is the fingerprint.

Runs outlive versions, so the identity of an existing run must never change by a bit. An option, group or field that is
added later goes into `ADDED` too: it enters the identity only where it is not at the value that older runs imply.
"""

import hashlib
from pathlib import Path

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.models.classifier import Classifier
from pipeline.run.options import RunOptions
from pipeline.store.schema import canonical_json
from pipeline.system.configuration import Config

IMAGES = "data (list of images and labels)"
"""Key of the sha256 of the list in an identity."""

SCHEMA_OF_IDENTITY = 3
"""Number that new runs hash. It changes only where the identity itself must; a column added to the store needs none."""

EARLIER_SCHEMAS: tuple[int, ...] = ()
"""Former values of `SCHEMA_OF_IDENTITY`, newest first: runs that were started with one keep it, and are found by it."""

ADDED: dict[str, object] = {}
"""Options, groups and fields added since 0.1.0, with the value that runs without them have (a new option's default).

By their key in the identity; of options of a method or view, with its name in front (``ig.new``), of fields of the
preprocessing, ``preprocessing.new``.
"""


def identity_of(options: RunOptions, classifier: Classifier, images: str) -> Config:
    """The content of a fingerprint, under the names of the command line.

    Args:
        options: Of the run.
        classifier: Its network.
        images: Sha256 of the list of images and labels, hex.
    """
    names = options.names
    identity = {
        "method": names.method,
        **_without_added({name: _content(value) for name, value in method_options(options).items()}, names.method),
        **smooth_options(options),
        **_without_added(view_options(options), names.view),
        "target": options.target,
        "output": options.output,
        "seed": options.seed,
        "dtype": options.dtype,
        "store.dtype": options.store.dtype,
        "store.channels": options.store.channels,
        "store.features": options.store.features,
        "model": classifier.name,
        "preprocessing": _without_added(classifier.preprocessing.to_json(), "preprocessing"),
        "model.weights": classifier.weights_sha256,
        "model.multi_label": classifier.multi_label,
        IMAGES: images,
        "schema": SCHEMA_OF_IDENTITY,
    }
    return _without_added(identity)


def _without_added(options: Config, prefix: str = "") -> Config:
    """The options without those of `ADDED` that have the value that older runs imply."""
    names = {name: f"{prefix}.{name}" if prefix else name for name in options}
    return {
        name: value
        for name, value in options.items()
        # compared as JSON, as they are hashed: in Python, 0 == False
        if names[name] not in ADDED or canonical_json(value) != canonical_json(ADDED[names[name]])
    }


def with_earlier_schemas(identity: Config) -> list[Config]:
    """The identity, and those that the same job had under earlier schema numbers, newest first."""
    return [identity, *(identity | {"schema": number} for number in EARLIER_SCHEMAS)]


def image_list_sha256(index: ImageIndex, labels: np.ndarray) -> str:
    """Sha256 of a list of images and their labels, hex."""
    images = hashlib.sha256()
    spans = [] if index.paths.spans is None else [index.paths.spans]  # a repacked archive is another list
    for part in (index.paths.blob, index.paths.offsets, labels, *spans):
        images.update(np.ascontiguousarray(part).data)
    return images.hexdigest()


def _content(value: object) -> object:
    """An option's value; if it names a file, such as a baseline's picture, with the file's sha256."""
    if not isinstance(value, str) or not Path(value).is_file():
        return value
    return f"{value} (sha256 {hashlib.sha256(Path(value).read_bytes()).hexdigest()[:16]})"


def method_options(options: RunOptions) -> Config:
    """Options of the method, under the command line's names."""
    return _options(options.method)


def smooth_options(options: RunOptions) -> Config:
    """The wrapper around the method with its options, under the command line's names; empty for the method alone."""
    if options.smooth is None:
        return {}
    own = {f"smooth.{key}": value for key, value in _options(options.smooth).items()}
    return {"smooth": options.names.smooth, **own}


def view_options(options: RunOptions) -> Config:
    """The view with its options, under the command line's names; empty for ``view=input``, whose maps are of pixels."""
    return {} if options.names.view == "input" else {"view": options.names.view, **_options(options.view)}


def _options(node: Config) -> Config:
    return {key: value for key, value in node.items() if key != "_target_"}
