"""A job: everything that the options of a run mean, loaded and checked before any work starts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.data.demo_photographs import demo_index, write_demo_photographs
from pipeline.data.find_images import find_class_names, find_images, find_labels
from pipeline.data.image_index import ImageIndex
from pipeline.engine.geometry import Geometry
from pipeline.errors import UsageError
from pipeline.methods import Method
from pipeline.models.class_names import default_class_names
from pipeline.models.classifier import Classifier
from pipeline.models.penultimate import last_layer
from pipeline.run.device_transfer import DTYPES, find_device, network_to_device, set_precision
from pipeline.run.identity import identity_of, image_list_sha256, with_earlier_schemas
from pipeline.run.options import RunOptions, Target
from pipeline.store.run_files import MANIFEST
from pipeline.store.schema import fingerprint
from pipeline.system.configuration import Config, build, has_option
from pipeline.system.remote import absolute, is_remote, to_path
from pipeline.view import View

DEMO = "demo"
CPU_BATCH_SIZE, GPU_BATCH_SIZE = 8, 32


@dataclass(frozen=True)
class Job:
    """The options of a run with the objects that they describe.

    Attributes:
        options: Every option but those of the task; ``device`` is resolved.
        classifier: The network, on the device, in the dtype.
        method: The method around it.
        geometry: Of the method's maps on this network's input.
        index: The images.
        labels: int32 (images,), -1 where unknown.
        root: The folder that the index is relative to, or its address.
        identity: The content of the fingerprint.
        run: The run's folder.
    """

    options: RunOptions
    classifier: Classifier
    method: Method
    geometry: Geometry
    index: ImageIndex
    labels: np.ndarray
    root: str
    identity: Config
    run: Path

    @property
    def device(self) -> torch.device:
        return torch.device(self.options.device)

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.options.dtype]

    @property
    def batch_size(self) -> int:
        """Images in flight."""
        return self.options.batch_size or (CPU_BATCH_SIZE if self.device.type == "cpu" else GPU_BATCH_SIZE)


def prepare_job(options: RunOptions) -> Job:
    """Loads the network, lists the images, builds the method.

    Raises:
        UsageError: An option's value is invalid for this network or these images.
    """
    options = replace(options, device=find_device(options.device))
    set_precision(options.dtype)
    classifier = load_classifier(options)
    index = find_images(options.data, options.names.data)
    labels = find_labels(index, options.data, classifier.n_outputs)
    unnamed = default_class_names(classifier.n_outputs)
    names = find_class_names(index, options.data, classifier.class_names, unnamed)
    classifier = replace(classifier, class_names=names)
    check_target(options.target, classifier.n_outputs, labels)
    if options.store.features:
        last_layer(classifier)
    method, geometry = build_method(options, classifier)
    if options.target != "pred" and not method.view.explains_class:
        raise UsageError(
            f"target={options.target}: view={options.names.view} explains a neuron and no class; leave target=pred"
        )
    identity = identity_of(options, classifier, image_list_sha256(index, labels))
    run = to_path(options.output_dir) if options.output_dir else _default_folder(options, identity)
    root = absolute(options.data.root or str(run / "photographs"))
    return Job(options, classifier, method, geometry, index, labels, root, identity, run)


def write_photographs(job: Job) -> None:
    """Writes the demo's photographs into the folder that the job reads; does nothing for images of the user."""
    demo = set(demo_index().paths)
    # The second: a damaged config.yaml that lacks the root does not make the user's images the demo's.
    if job.options.data.root is not None or any(path not in demo for path in job.index.paths):
        return
    if is_remote(job.root):
        raise UsageError(f"output_dir={job.run}: the demo's photographs need a folder of this machine; give data.root")
    write_demo_photographs(Path(job.root))


def check_target(target: Target, n_outputs: int, labels: np.ndarray) -> None:
    """Raises UsageError unless this network and these images have the ``target``."""
    classes = target if isinstance(target, list) else [target]
    if target == "label" and (labels < 0).any():
        raise UsageError(
            "target=label: the images have no labels (data.labels=false); target=pred explains the prediction"
        )
    if target in ("pred", "label"):
        return
    if isinstance(target, str) and target.startswith("top") and target[3:].isdigit():
        if not 1 <= int(target[3:]) <= n_outputs:
            raise UsageError(f"target={target}: the network has {n_outputs} outputs")
        return
    if not classes or not all(type(value) is int and 0 <= value < n_outputs for value in classes):
        raise UsageError(f"target={target}: expected pred, label, top3, or class numbers from 0 to {n_outputs - 1}")


def load_classifier(options: RunOptions) -> Classifier:
    """Loads the network on its device, with the preprocessing that the options override."""
    overrides = options.data.transform.given()
    # A network of fixed input size must know the size before it is tried.
    early = {"transform": overrides} if has_option(options.model, "transform") else {}
    classifier: Classifier = build(options.model, **early)
    classifier = classifier.with_preprocessing(**overrides) if overrides else classifier
    network_to_device(classifier, options.device, options.dtype)
    return classifier


def build_method(options: RunOptions, classifier: Classifier) -> tuple[Method, Geometry]:
    """Builds the method around a network, and the geometry of its maps.

    Raises:
        UsageError: An option's value is invalid.
    """
    names, preprocessing = options.names, classifier.preprocessing
    if "layer" in options.method and "layer" in options.view:
        raise UsageError(f"view={names.view}: method={names.method} has a layer of its own; leave view=input")
    try:
        view: View = build(
            options.view,
            classifier.module,
            output=options.output,
            multi_label=classifier.multi_label,
            preprocessing=preprocessing,
            prepare=options.engine.prepare,
            compile=options.engine.compile,
            engine=options.engine.name,
        )
        method: Method = build(options.method, view, internal_batch_size=options.internal_batch_size)
        if options.smooth is not None:
            method = build(options.smooth, method, internal_batch_size=options.internal_batch_size)
        height, width = preprocessing.crop
        return method, method.geometry((len(preprocessing.mean), height, width), options.store.channels)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _default_folder(options: RunOptions, identity: Config) -> Path:
    """The folder that the identity names; a run of an earlier schema number is found under that one."""
    root, names = options.data.root, options.names
    data = (Path(root).resolve().name or "root") if root else DEMO
    name = "-".join(part.replace("/", "_") for part in (names.method, names.model, data))
    folders = [Path("outputs") / f"{name}-{fingerprint(one)[:8]}" for one in with_earlier_schemas(identity)]
    return next((folder for folder in folders if (folder / MANIFEST).exists()), folders[0])
