"""A job: everything that a configuration means, loaded and checked, before any work starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.data.find_images import find_images, find_labels
from pipeline.data.image_index import ImageIndex
from pipeline.engine.geometry import Geometry
from pipeline.errors import UsageError
from pipeline.methods import Method
from pipeline.models.classifier import Classifier
from pipeline.models.penultimate import last_layer
from pipeline.run.identity import identity_of, list_sha256
from pipeline.run.option_ranges import DTYPES
from pipeline.store.schema import fingerprint
from pipeline.system.configuration import Config, build
from pipeline.system.remote import absolute, is_remote, locate
from pipeline.view import View

DEMO = "demo"


@dataclass(frozen=True)
class Job:
    """A configuration with its objects.

    Attributes:
        config: The composed configuration.
        classifier: The network, on the device, in the dtype.
        method: The method around it.
        geometry: Of the method's maps on this network's input.
        index: The images.
        labels: int32 (images,), -1 where unknown.
        root: The folder that the index is relative to, or its address.
        identity: What the fingerprint is made of.
        run: The run's folder.
    """

    config: Config
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
        return torch.device(self.config["device"])

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.config["dtype"]]

    @property
    def batch_size(self) -> int:
        """Images in flight."""
        return int(self.config["batch_size"] or (8 if self.device.type == "cpu" else 32))


def prepare(config: Config, choices: dict[str, str]) -> Job:
    """Loads the network, lists the images, builds the method.

    Args:
        config: The composed configuration.
        choices: The chosen file of each group, such as ``{"method": "ig"}``.

    Raises:
        UsageError: An option's value is invalid; :func:`pipeline.run.option_ranges.check` ran before.
    """
    config = config | {"device": find_device(config["device"]), "names": choices}
    set_precision(config["dtype"])
    classifier = load_classifier(config)
    index = find_images(config["data"], choices["data"])
    labels = find_labels(index, config["data"], classifier.n_outputs)
    if choices["view"] == "neuron" and config["target"] != "pred":
        raise UsageError(f"target={config['target']}: view=neuron explains a neuron and no class; leave target=pred")
    check_target(config["target"], classifier.n_outputs, labels)
    if config["store"]["features"]:
        last_layer(classifier)
    method, geometry = build_method(config, classifier)
    identity = identity_of(config, classifier, list_sha256(index, labels))
    run = locate(config["output_dir"]) if config["output_dir"] else _default_folder(config, identity)
    root = absolute(config["data"]["root"] or str(run / "photographs"))
    return Job(config, classifier, method, geometry, index, labels, root, identity, run)


@contextmanager
def in_dtype(job: Job, dtype: str) -> Iterator[Job]:
    """The same job, computed in another dtype inside the context; its maps are not for the same store."""
    config = job.config | {"dtype": dtype}
    set_precision(dtype)
    try:
        classifier = load_classifier(config)
        method, geometry = build_method(config, classifier)
        yield replace(job, config=config, classifier=classifier, method=method, geometry=geometry)
    finally:
        set_precision(job.config["dtype"])


def lay_photographs(job: Job) -> None:
    """Puts the demo's photographs where the job reads them; other jobs' are there."""
    if job.config["data"]["root"] is None:
        if is_remote(job.root):
            raise UsageError(
                f"output_dir={job.run}: the demo's photographs need a folder of this machine; give data.root"
            )
        write_demo_photographs(Path(job.root))


def check_target(target: object, n_outputs: int, labels: np.ndarray) -> None:
    """Raises UsageError if ``target`` is nothing that this network and these images have."""
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


def find_device(device: str) -> str:
    """The device that an option names; ``auto`` is a GPU where there is one.

    Raises:
        UsageError: It is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that is not there
        raise UsageError(f"device={device}: {str(error).splitlines()[0]}") from error
    return device


def set_precision(dtype: str) -> None:
    """TF32 only where it is asked for: PyTorch has it on for convolutions, and it changes maps in the third digit."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"


def load_classifier(config: Config) -> Classifier:
    """The network of a configuration, on its device."""
    overrides = {key: value for key, value in config["data"]["transform"].items() if value is not None}
    early = {"transform": overrides} if config["names"]["model"] == "checkpoint" else {}  # it may fit no other size
    classifier: Classifier = build(config["model"], **early)
    classifier = classifier.with_preprocessing(**overrides) if overrides else classifier
    classifier.module.to(config["device"], DTYPES[config["dtype"]])
    return classifier


def build_method(config: Config, classifier: Classifier) -> tuple[Method, Geometry]:
    """The method of a configuration around a network, and the geometry of its maps.

    Raises:
        UsageError: An option's value cannot be.
    """
    preprocessing, view_name = classifier.preprocessing, config["names"]["view"]
    if "layer" in config["method"] and view_name != "input":
        raise UsageError(
            f"view={view_name}: method={config['names']['method']} has a layer of its own; leave view=input"
        )
    try:
        view: View = build(
            config["view"],
            classifier.module,
            output=config["output"],
            multi_label=classifier.multi_label,
            preprocessing=preprocessing,
            prepare=config["engine"]["prepare"],
            compile=config["engine"]["compile"],
            engine=config["engine"]["name"],
        )
        method: Method = build(config["method"], view, internal_batch_size=config["internal_batch_size"])
        if "_target_" in config["smooth"]:
            method = build(config["smooth"], method, internal_batch_size=config["internal_batch_size"])
        height, width = preprocessing.crop
        return method, method.geometry((len(preprocessing.mean), height, width), config["store"]["channels"])
    except ValueError as error:
        raise UsageError(str(error)) from error


def _default_folder(config: Config, identity: Config) -> Path:
    root = config["data"]["root"]
    data = (Path(root).resolve().name or "root") if root else DEMO
    names = config["names"]
    name = "-".join(part.replace("/", "_") for part in (names["method"], names["model"], data))
    return Path("outputs") / f"{name}-{fingerprint(identity)[:8]}"
