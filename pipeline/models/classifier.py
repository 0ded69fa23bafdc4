"""A frozen network with all that is needed to ask it about a photograph."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torchvision.models import AlexNet_Weights

from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.network.freeze import freeze
from pipeline.errors import UsageError
from pipeline.models.logits import with_logits
from pipeline.models.weights import weights_sha256

IMAGENET_CLASSES: tuple[str, ...] = tuple(AlexNet_Weights.DEFAULT.meta["categories"])


@dataclass(frozen=True)
class Classifier:
    """A network ready to be explained.

    Attributes:
        module: Normalised images (N, 3, H, W) -> logits (N, n_outputs); in eval mode, no parameter requires a gradient.
        name: What the user calls it.
        preprocessing: Photograph -> input.
        class_names: One for each output.
        weights_sha256: Of the network's state dict, whichever file it came from.
        n_outputs: K; 1 for a single logit.
        multi_label: The outputs are independent yes/no questions (sigmoid, not softmax).
    """

    module: nn.Module
    name: str
    preprocessing: Preprocessing
    class_names: list[str]
    weights_sha256: str
    n_outputs: int
    multi_label: bool

    @classmethod
    def wrap(
        cls,
        network: nn.Module,
        name: str,
        *,
        preprocessing: Preprocessing,
        class_names: Sequence[str] | None = None,
        multi_label: bool = False,
    ) -> "Classifier":
        """Takes a network over and shows it one black image.

        The network is not copied: it is put in eval mode and its parameters are frozen, in place, and whoever trains it
        on changes the classifier too. Give ``copy.deepcopy(network)`` to keep your own as it is.

        Args:
            network: Returns (N,), (N, 1), (N, K), or an object with such ``logits``.
            name: What the user calls it.
            preprocessing: Photograph -> input.
            class_names: Default: ImageNet's for 1000 outputs, numbers for others.
            multi_label: The outputs are independent.

        Raises:
            UsageError: The network refuses an image of the crop size, returns something else, or has another number of
                outputs than ``class_names``.
        """
        freeze(network.eval())
        digest = weights_sha256(network)
        module, n_outputs = with_logits(network, preprocessing.crop)
        names = list(class_names if class_names is not None else default_class_names(n_outputs))
        if len(names) != n_outputs:
            raise UsageError(f"{name}: {len(names)} class names for {n_outputs} outputs")
        return cls(module.eval(), name, preprocessing, names, digest, n_outputs, multi_label)

    def with_preprocessing(self, **overrides: Any) -> "Classifier":
        """The same network, not copied, with other fields of ``Preprocessing``.

        Raises:
            UsageError: A value out of range, or a crop that the network refuses.
        """
        classifier = dataclasses.replace(self, preprocessing=override(self.preprocessing, **overrides))
        with_logits(self.module, classifier.preprocessing.crop)
        return classifier


def override(preprocessing: Preprocessing, **fields: Any) -> Preprocessing:
    """Replaces fields; lists (as configuration files have them) become tuples, and one number is a square crop."""
    if isinstance(fields.get("crop"), int):
        fields["crop"] = (fields["crop"], fields["crop"])
    tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in fields.items()
    }
    return dataclasses.replace(preprocessing, **tuples)


def default_class_names(n_outputs: int) -> Sequence[str]:
    """ImageNet's names for 1000 outputs, else ``class 0``, ``class 1``, ..."""
    if n_outputs == len(IMAGENET_CLASSES):
        return IMAGENET_CLASSES
    return [f"class {number}" for number in range(n_outputs)]
