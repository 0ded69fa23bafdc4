"""Whether a model is still as it was when something was made of it."""

from itertools import chain

from torch import nn


def weights_state(model: nn.Module) -> list[tuple[int, int]]:
    """Something that changes when the weights of a model do."""
    return [(tensor.data_ptr(), tensor._version) for tensor in chain(model.parameters(), model.buffers())]


def hooked(model: nn.Module) -> bool:
    """Whether a model carries hooks, which a copy of its graph would leave out."""
    return any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in model.modules()
    )
