"""A classifier: frozen network, preprocessing, class names and meaning of its outputs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.network.freeze import freeze
from pipeline.errors import UsageError
from pipeline.models.class_names import default_class_names
from pipeline.models.logits import with_logits
from pipeline.models.output_space import OutputSpace
from pipeline.models.unsupported import unsupported
from pipeline.models.weights import weights_sha256


@dataclass(frozen=True)
class Classifier:
    """A frozen network, ready to be explained.

    Attributes:
        module: Normalised images (N, 3, H, W) -> logits (N, n_outputs); in eval mode, no parameter requires a gradient.
        name: The user's name of it.
        preprocessing: Photograph -> input.
        class_names: One for each output.
        weights_sha256: Of the network's state dict; equal weights in another file have the same.
        n_outputs: K; 1 for a single logit.
        multi_label: True if the outputs are independent (sigmoid, not softmax).
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
        """Wraps a network, and evaluates it once on a black image to find the form of its outputs.

        The network is not copied: it is put in eval mode and its parameters are frozen, in place, and training it
        further changes the classifier too. Pass ``copy.deepcopy(network)`` to keep your own unchanged.

        Args:
            network: Returns (N,), (N, 1), (N, K), or an object with such ``logits``.
            name: The user's name of it.
            preprocessing: Photograph -> input.
            class_names: Default: ImageNet's for 1000 outputs, numbers for others.
            multi_label: True if the outputs are independent.

        Raises:
            UsageError: The network is quantised or has parameters without values, does not take an image of the crop
                size, does not return logits, or the number of its outputs is not that of ``class_names``.
        """
        if problem := unsupported(network):
            raise UsageError(f"{name}: {problem}")
        freeze(network.eval())
        digest = weights_sha256(network)
        module, n_outputs = with_logits(network, preprocessing.crop)
        names = list(class_names if class_names is not None else default_class_names(n_outputs))
        if len(names) != n_outputs:
            raise UsageError(f"{name}: {len(names)} class names for {n_outputs} outputs")
        return cls(module.eval(), name, preprocessing, names, digest, n_outputs, multi_label)

    @property
    def output_space(self) -> OutputSpace:
        """Meaning of the outputs: predictions, probabilities, classes."""
        return OutputSpace(self.n_outputs, self.multi_label)

    def with_preprocessing(self, **overrides: Any) -> "Classifier":
        """Replaces fields of ``Preprocessing``; the network is shared, not copied.

        Raises:
            UsageError: A value is out of range, or the network does not take images of the new crop size.
        """
        classifier = dataclasses.replace(self, preprocessing=override(self.preprocessing, **overrides))
        with_logits(self.module, classifier.preprocessing.crop)
        return classifier


def override(preprocessing: Preprocessing, **fields: Any) -> Preprocessing:
    """Replaces fields; lists, as in configuration files, become tuples, and one number is a square crop."""
    if isinstance(fields.get("crop"), int):
        fields["crop"] = (fields["crop"], fields["crop"])
    tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in fields.items()
    }
    return dataclasses.replace(preprocessing, **tuples)
