"""Device transfer: the only place where networks and images are moved to the device and to the dtype of a run."""

import torch
from torch import Tensor

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models.classifier import Classifier

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,  # stored as float32, multiplied with 10 bits of mantissa on GPUs that can
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""By the option ``dtype``."""


def find_device(device: str) -> str:
    """The device that the option names; ``auto`` is a GPU where there is one.

    Raises:
        UsageError: The device does not exist here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that does not exist
        raise UsageError(f"device={device}: {str(error).splitlines()[0]}") from error
    return device


def set_precision(dtype: str) -> None:
    """Turns TF32 on for ``dtype=tf32`` and off for all others.

    PyTorch has it on for convolutions by default, and it changes maps in the third digit.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"


def network_to_device(classifier: Classifier, device: str, dtype: str) -> None:
    """Moves a classifier's network to a device and casts it, in place."""
    classifier.module.to(device, DTYPES[dtype])


def to_network_input(pixels: Tensor, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Moves decoded pixels to the device and normalises them there.

    Args:
        pixels: (N, C, H, W) uint8, in pinned memory where the transfer shall not block.
        preprocessing: Of the network.
        device: Of the network.
        dtype: Of the network.

    Returns:
        (N, C, H, W), the network's input.
    """
    # uint8 is transferred and cast on the device: a quarter of the bytes of float32
    return preprocessing.normalize(pixels.to(device, non_blocking=True).to(dtype) / 255)
