"""Penultimate features: the inputs of a classifier's last layer, recorded by a forward hook."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.models.classifier import Classifier


def last_layer(classifier: Classifier) -> nn.Module:
    """The last linear layer or convolution with as many outputs as the network has.

    Raises:
        UsageError: There is no such layer.
    """
    layers = [layer for layer in classifier.module.modules() if _width(layer) == classifier.n_outputs]
    if not layers:
        raise UsageError(
            f"store.features=true: {classifier.name} has no linear layer or convolution with {classifier.n_outputs} "
            "outputs, whose input they would be; leave store.features=false"
        )
    return layers[-1]


@contextmanager
def record_inputs(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Records the inputs of a layer inside the context, (P, F) each; feature maps are averaged over positions."""
    recorded: list[Tensor] = []

    def record(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].detach()
        recorded.append(values.flatten(2).mean(2) if isinstance(layer, nn.Conv2d) else values)

    handle = layer.register_forward_pre_hook(record)
    try:
        yield recorded
    finally:
        handle.remove()


def _width(layer: nn.Module) -> int | None:
    match layer:
        case nn.Linear():
            return layer.out_features
        case nn.Conv2d():
            return layer.out_channels
    return None
