"""Output space of a classifier: what its logits mean as classes, predictions and probabilities."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.class_folders import class_count

OUTPUTS = ("logit", "probability", "log_probability")
"""Units in which an output can be explained."""


@dataclass(frozen=True)
class OutputSpace:
    """Meaning of a classifier's K outputs.

    * one output z: binary classification; probability of class 1 = sigmoid(z), prediction = z > 0;
    * independent outputs (multi-label): probability of a class = sigmoid of its logit, prediction = highest logit;
    * exclusive classes: probability of a class = softmax, prediction = highest logit.

    Methods take logits (n, K) as the network returns them. Tensors stay in their dtype, on their device and in the
    autograd graph; arrays are the store's and give float64.

    Attributes:
        n_outputs: K.
        multi_label: The outputs are independent.
    """

    n_outputs: int
    multi_label: bool = False

    @property
    def n_classes(self) -> int:
        """Number of classes: one for each output, but two for a single output."""
        return class_count(self.n_outputs)

    @property
    def independent(self) -> bool:
        """True if each output has a probability of its own (sigmoid), False if they share one (softmax)."""
        return self.multi_label or self.n_outputs == 1

    def predictions(self, logits: Tensor) -> Tensor:
        """Predicted class, int64 (n,)."""
        return (logits[:, 0] > 0).long() if self.n_outputs == 1 else logits.argmax(1)

    def in_unit(self, logits: Tensor, unit: str) -> Tensor:
        """Each output (n, K) as a unit of `OUTPUTS`; a single output speaks for class 1."""
        if unit == "logit":
            return logits
        logarithm = unit == "log_probability"
        if self.independent:
            return nn.functional.logsigmoid(logits) if logarithm else logits.sigmoid()
        return logits.log_softmax(1) if logarithm else logits.softmax(1)

    def class_logits(self, logits: Tensor) -> Tensor:
        """Logit of each class, (n, n_classes); those of a single output z are -z and z."""
        return torch.cat((-logits, logits), 1) if self.n_outputs == 1 else logits

    def outputs_of(self, classes: Tensor) -> Tensor:
        """Number of the output that speaks for or against each class, int64, same shape."""
        return torch.zeros_like(classes) if self.n_outputs == 1 else classes

    def classes_of(self, outputs: Tensor) -> Tensor:
        """Class that each output speaks for, int64, same shape; a single output speaks for class 1."""
        return torch.ones_like(outputs) if self.n_outputs == 1 else outputs

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probability of each class, float64 (n, n_classes)."""
        exact = logits.astype(np.float64)
        if not self.independent:
            return _softmax(exact)
        both = _softmax(np.stack((np.zeros_like(exact), exact), -1))  # (n, K, 2): sigmoid(z) is softmax(0, z)[1]
        probability: np.ndarray = both[:, 0] if self.n_outputs == 1 else both[..., 1]
        return probability

    def confidence(self, logits: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Probability of the predicted class (n,), float64 (n,) in [0, 1]."""
        confidence: np.ndarray = self.probabilities(logits)[np.arange(len(logits)), predictions]
        return confidence


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis; in NumPy, since torch's differs in the last digit from what summaries have stored."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return shares
