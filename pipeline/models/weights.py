"""Weights: files -> state dicts -> networks, and their sha256."""

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.errors import UsageError

MAX_NAMES = 3  # names of tensors in a message, before "..."
PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads a state dict from a ``.safetensors`` file, or from a file of torch.save with nothing but tensors.

    The state dict may be under ``state_dict`` or ``model``. The prefix that DistributedDataParallel or torch.compile
    adds to every name is removed.

    Raises:
        UsageError: The file is missing or damaged, or has no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise UsageError(
            f"{path} is damaged or has more than tensors (a pickled network could run code and is not read): "
            "download it again, or save it with torch.save(network.state_dict(), file)"
        ) from error
    state = _state_dict(content)
    if state is None:
        raise UsageError(f"{path} has no state dict, alone or under 'state_dict' or 'model'")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def load_weights(network: nn.Module, state: Mapping[str, Tensor], *, source: str | Path) -> None:
    """Copies a state dict into a network with exactly these names and shapes.

    Raises:
        UsageError: Names are missing or unexpected, or shapes differ; the message has their number and the first.
    """
    own = network.state_dict()
    # Files older than PyTorch 0.4.1 lack this counter, which evaluation does not use.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    reshaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    mismatches = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    described = [f"{len(names)} {kind} ({_first(names)})" for kind, names in mismatches.items() if names]
    if described:
        raise UsageError(
            f"{source} does not fit {type(network).__name__}: of {len(own)} tensors {', '.join(described)}"
        )
    network.load_state_dict(_with_versions(state, own), strict=False)


def weights_sha256(network: nn.Module) -> str:
    """Sha256 of the state dict (names sorted; name, dtype, shape, bytes): equal for equal weights from any file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def fill(
    build: Callable[[int], nn.Module], state: Mapping[str, Tensor], *, n_outputs: int, source: str | Path
) -> nn.Module:
    """Builds an architecture with as many outputs as a state dict has, and loads the state dict.

    Args:
        build: Number of classes -> network.
        state: Its weights.
        n_outputs: Number of outputs of the first build; its last layer is found by this length, so no other layer may
            have it.
        source: File of the weights, for messages.

    Raises:
        UsageError: As ``load_weights``.
    """
    network = build(n_outputs)
    heads = [name for name, own in network.state_dict().items() if own.ndim and len(own) == n_outputs]
    sizes = {len(state[name]) for name in heads if name in state and state[name].ndim}
    if len(sizes) == 1 and sizes != {n_outputs}:
        network = build(sizes.pop())
    load_weights(network, state, source=source)
    return network


@contextmanager
def fixed_seed(seed: int = 0) -> Iterator[None]:
    """Seeds PyTorch's generator inside the context: every process gets the same initial weights; restores it after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _state_dict(content: object) -> dict[str, Tensor] | None:
    if not isinstance(content, dict) or not content:
        return None
    if all(isinstance(value, Tensor) for value in content.values()):
        return content
    return _state_dict(content.get("state_dict", content.get("model")))


def _first(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")


def _with_versions(state: Mapping[str, Tensor], own: dict[str, Tensor]) -> "OrderedDict[str, Tensor]":
    """The state dict with the network's format versions: MNASNet refuses one without, and safetensors has none."""
    versioned = OrderedDict(state)
    versioned._metadata = own._metadata  # type: ignore[attr-defined]
    return versioned
