"""Networks wrapped to return logits (N, K); the form of the outputs is found by one evaluation of a black image."""

import re

import torch
from torch import Tensor, nn

from pipeline.engine.chunked_evaluator import is_out_of_memory
from pipeline.errors import UsageError
from pipeline.models.failure_place import failure_place, failure_reason
from pipeline.system.signals import Stopped

SIZE_ERROR = re.compile(
    r"\b(shapes?|sizes?|dim|dimensions?|height|width|channels?|kernel|broadcast\w*|numel|elements|out of range)\b"
    r"|\d\s?[x*]\s?\d",  # 224 x 224, 32*32
    re.IGNORECASE,
)
"""Words of the errors that PyTorch, timm and transformers raise for an image of the wrong size."""


class LogitsField(nn.Module):
    """Returns the field ``logits`` of a network's outputs (Hugging Face models)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits
        return logits


class SingleLogit(nn.Module):
    """Returns (N, 1) of a network that returns one number an image, (N,)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).unsqueeze(1)
        return logits


def with_logits(network: nn.Module, size: tuple[int, int]) -> tuple[nn.Module, int]:
    """Wraps a network to return logits (N, K), by the outputs of one black image of ``size`` (H, W).

    A network that returns (N, K) is returned unchanged, so its layers keep their names; in a wrapped one they are under
    ``network.``. The wrappers have no data-dependent branch, so torch.fx traces them wherever it traces the network.

    Returns:
        The module and K.

    Raises:
        UsageError: The network does not take the image, or returns something other than (N,), (N, 1), (N, K) or an
            object whose ``logits`` are one of these.
    """
    outputs = _evaluate_black_image(network, size)
    if not isinstance(outputs, Tensor):
        try:
            outputs = outputs.logits  # type: ignore[attr-defined]
        except AttributeError:
            raise UsageError(_refusal(f"a {type(outputs).__name__} without logits")) from None
        network = LogitsField(network)
    if not isinstance(outputs, Tensor):
        raise UsageError(_refusal(f"logits of type {type(outputs).__name__}"))
    if outputs.ndim not in (1, 2) or len(outputs) != 1 or not outputs.numel():
        raise UsageError(_refusal(f"shape {tuple(outputs.shape)}"))
    if not outputs.is_floating_point():
        raise UsageError(_refusal(str(outputs.dtype)))
    return (SingleLogit(network), 1) if outputs.ndim == 1 else (network, outputs.shape[1])


def _evaluate_black_image(network: nn.Module, size: tuple[int, int]) -> object:
    reference = next((parameter for parameter in network.parameters() if parameter.is_floating_point()), torch.empty(0))
    try:
        with torch.no_grad():
            return network(reference.new_zeros(1, 3, *size))
    except Stopped:
        raise
    except Exception as error:
        pixels = f"{size[0]} x {size[1]} pixels"
        if is_out_of_memory(error):
            raise UsageError(
                f"out of memory: not even one image of {pixels} fits: lower data.transform.crop, "
                "choose a smaller model, or free memory on the device"
            ) from error
        reason, place = failure_reason(error), failure_place(error)
        message, at = f"the network does not take an RGB image of {pixels} ({reason})", place and f" (at {place})"
        if isinstance(error, RuntimeError | ValueError | AssertionError) and SIZE_ERROR.search(reason):
            raise UsageError(f"{message}: set data.transform.crop to its input size{at}") from error
        raise UsageError(f"{message}: it is evaluated as network(images), images float (N, 3, H, W){at}") from error


def _refusal(returned: str) -> str:
    return (
        f"the network returned {returned} for one image; expected floating logits (N,), (N, 1) or (N, K), "
        "or an object with such logits: wrap it so that it returns these"
    )
