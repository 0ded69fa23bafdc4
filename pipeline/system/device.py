"""Synchronisation with a device, whose work is otherwise still in its queue when a call returns."""

import torch


def synchronize(device: torch.device) -> None:
    """Wait until all work queued on a device is done; on a CPU it always is.

    Only this device is touched: under ``device=cpu`` no CUDA context is created, and of several GPUs the others go on.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
