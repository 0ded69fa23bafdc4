"""Loader of Hugging Face image classifiers, by folder or name on the hub (extra ``hub``)."""

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

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def load(name: str, weights: str | Path | None = "DEFAULT", *, multi_label: bool | None = None) -> Classifier:
    """Builds a classifier with the preprocessing and class names of its folder. Code in the folder is never run.

    Args:
        name: A folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, or the hub's name
            of one (fetched into the cache when missing; set HF_HUB_OFFLINE=1 to fail at once without a network).
        weights: ``DEFAULT`` (the folder's), a ``.pth`` or ``.safetensors`` file, or None for random weights, the same
            in every process.
        multi_label: True if the outputs are independent; None: by ``problem_type`` in the configuration.

    Raises:
        MissingExtra: transformers is not installed.
        UsageError: The folder or name does not exist or is no classifier, its preprocessing cannot be expressed, or
            the weights are missing, damaged, of another network, pickled or cannot be downloaded.
    """
    if transformers is None:
        raise MissingExtra("hub", "model=huggingface")
    if not Path(name).is_dir() and not HUB_NAME.fullmatch(name):
        raise UsageError(f"model.name={name}: no such folder, and no name on the Hugging Face hub (owner/model)")
    try:
        configuration = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        processor = transformers.AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
        network = _build(name, weights, configuration)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"cannot load {_address(name)} as a Hugging Face image classifier: {reason}") from error
    preprocessing = preprocessing_of(processor, name)
    names = [configuration.id2label[number] for number in range(configuration.num_labels)]
    if multi_label is None:
        multi_label = configuration.problem_type == "multi_label_classification"
    return Classifier.wrap(network, name, preprocessing=preprocessing, class_names=names, multi_label=multi_label)


def _build(name: str, weights: str | Path | None, configuration: "transformers.PreTrainedConfig") -> nn.Module:
    if weights == "DEFAULT":
        return _pretrained(name, configuration)
    with fixed_seed():
        network: nn.Module = transformers.AutoModelForImageClassification.from_config(
            configuration, dtype=torch.float32, trust_remote_code=False
        )
    if weights is None:
        logger.warning("%s has random weights: its maps show an untrained network", name)
    else:
        load_weights(network, read_weights(weights), source=weights)
    return network


def _pretrained(name: str, configuration: "transformers.PreTrainedConfig") -> nn.Module:
    """The network with the folder's own weights; refuses pickled and incomplete ones."""
    network, report = transformers.AutoModelForImageClassification.from_pretrained(
        name,
        config=configuration,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would initialise them at random
        raise ValueError(f"its weights have no {', '.join(missing[:3])}: a network that was not trained to classify")
    pretrained: nn.Module = network
    return pretrained


def _address(name: str) -> str:
    return name if Path(name).is_dir() else f"https://huggingface.co/{name}"
