"""Hugging Face image classifiers by folder or name (extra ``hub``)."""

import logging
import re
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import MissingExtra, UsageError
from pipeline.models.classifier import Classifier
from pipeline.models.image_processor import preprocessing_of
from pipeline.models.weights import fixed_seed, load_weights, read_weights

try:
    import transformers
except ImportError:
    transformers = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

ON_THE_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")


def load(name: str, weights: str | Path | None = "DEFAULT", *, multi_label: bool | None = None) -> Classifier:
    """Builds a classifier with the preprocessing and class names of its folder. Code in the folder is never run.

    Args:
        name: A folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, or the hub's name
            of one (fetched into the cache when missing; set HF_HUB_OFFLINE=1 to fail at once without a network).
        weights: ``DEFAULT`` (the folder's), a ``.pth`` or ``.safetensors`` file, or None for random weights, the same
            in every process.
        multi_label: The outputs are independent; None: as ``problem_type`` in the configuration says.

    Raises:
        MissingExtra: transformers is not installed.
        UsageError: No such folder or name, no classifier, a preprocessing that cannot be expressed, or weights that
            are missing, damaged, of another network, pickled or cannot be fetched.
    """
    if transformers is None:
        raise MissingExtra("hub", "model=huggingface")
    if not Path(name).is_dir() and not ON_THE_HUB.fullmatch(name):
        raise UsageError(f"model.name={name}: no such folder, and no name on the Hugging Face hub (owner/model)")
    try:
        configuration = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        processor = transformers.AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
        network = _network(name, weights, configuration)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"cannot load {_place(name)} as a Hugging Face image classifier: {reason}") from error
    preprocessing = preprocessing_of(processor, name)
    names = [configuration.id2label[number] for number in range(configuration.num_labels)]
    if multi_label is None:
        multi_label = configuration.problem_type == "multi_label_classification"
    return Classifier.wrap(network, name, preprocessing=preprocessing, class_names=names, multi_label=multi_label)


def _network(name: str, weights: str | Path | None, configuration: "transformers.PreTrainedConfig") -> nn.Module:
    if weights == "DEFAULT":
        return _trained(name, configuration)
    with fixed_seed():
        network: nn.Module = transformers.AutoModelForImageClassification.from_config(
            configuration, dtype=torch.float32, trust_remote_code=False
        )
    if weights is None:
        logger.warning("%s has random weights: its maps show an untrained network", name)
    else:
        load_weights(network, read_weights(weights), source=weights)
    return network


def _trained(name: str, configuration: "transformers.PreTrainedConfig") -> nn.Module:
    """The folder's own weights, without a pickle and without gaps."""
    network, report = transformers.AutoModelForImageClassification.from_pretrained(
        name,
        config=configuration,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    absent = sorted(report["missing_keys"])
    if absent:  # transformers would draw them at random
        raise ValueError(f"its weights have no {', '.join(absent[:3])}: a network that was not trained to classify")
    trained: nn.Module = network
    return trained


def _place(name: str) -> str:
    return name if Path(name).is_dir() else f"https://huggingface.co/{name}"
