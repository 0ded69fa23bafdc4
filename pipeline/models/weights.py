"""Weights: files -> state dicts -> networks, and their sha256."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.models.checkpoint_reader import read_content
from pipeline.models.state_dict import STATES, find_state_dict
from pipeline.models.tensor_names import COUNTER, first_names, with_own_names


def read_weights(path: str | Path, *, state: str | None = None, ema_first: bool = False) -> dict[str, Tensor]:
    """Reads the tensors of a file of safetensors or torch.save, as a trainer writes it.

    The names keep the prefixes that training gave them; ``load_weights`` removes them. docs/recipes.md lists the forms.

    Args:
        path: The file.
        state: Of the weights and their moving average (EMA), ``plain`` or ``ema``; None: what the file has, of both
            the plain ones.
        ema_first: With None, of both the average.

    Raises:
        UsageError: The file is missing, damaged, or of another format, or does not have such weights.
    """
    if state not in (None, *STATES):
        raise UsageError(f"model.state={state}: expected null or one of {', '.join(STATES)}")
    order = STATES[::-1] if ema_first else STATES
    return find_state_dict(read_content(Path(path)), path, states=(state,) if state else order)


def load_weights(network: nn.Module, state: Mapping[str, Tensor], *, source: str | Path) -> None:
    """Copies a state dict into a network with these shapes and, but for a prefix, exactly these names.

    Floating values are converted to the network's precision.

    Raises:
        UsageError: Names are missing or unexpected, or shapes differ; the message has their number and the first. Or a
            tensor has no numbers that the network could have: of another kind, or NaN.
    """
    own = network.state_dict()
    state = with_own_names(state, own, source=source)
    missing = [name for name in own if name not in state and not name.endswith(COUNTER)]
    unexpected = [name for name in state if name not in own]
    both = [name for name in own if name in state]
    reshaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in both
        if not state[name].is_nested and state[name].shape != own[name].shape
    ]
    mismatches = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    described = [f"{len(names)} {kind} ({first_names(names)})" for kind, names in mismatches.items() if names]
    if described:
        raise UsageError(
            f"{source} does not fit {type(network).__name__}: of {len(own)} tensors {', '.join(described)}"
        )
    for name in both:
        if problem := _problem(state[name], own[name]):
            raise UsageError(f"{source}: {name} {problem}")
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
    own = network.state_dict()
    named = with_own_names(state, own, source=source)
    heads = [name for name, tensor in own.items() if tensor.ndim and len(tensor) == n_outputs]
    sizes = {len(named[name]) for name in heads if name in named and named[name].ndim}
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


def _problem(tensor: Tensor, own: Tensor) -> str | None:
    """Reason for which a file's tensor cannot be the network's; None if it can."""
    if tensor.is_meta:
        return "has no values (device meta): save the weights after they were loaded"
    if tensor.is_nested or tensor.layout != torch.strided:
        return f"is {'nested' if tensor.is_nested else tensor.layout}, expected dense: save its .to_dense()"
    expected = f"is {tensor.dtype}, expected {own.dtype}: save the weights in floating point, not quantised"
    if tensor.is_quantized or (own.is_floating_point() and not tensor.is_floating_point()):
        return expected
    if tensor.is_complex() != own.is_complex():
        return expected
    converted = tensor.to(own.dtype)
    if not own.is_floating_point():  # whole numbers, such as a table of positions, also where all were cast to float
        return None if torch.equal(converted.to(tensor.dtype), tensor) else expected
    if bool(converted.isnan().any()):
        return "has values that are not numbers (NaN): training diverged, take an earlier checkpoint"
    if bool(converted.isinf().any()) and not bool(tensor.double().isinf().any()):
        return f"has values beyond those of {own.dtype}, the network's precision"
    return None


def _with_versions(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> "OrderedDict[str, Tensor]":
    """The state dict with the network's format versions: MNASNet refuses one without, and safetensors has none."""
    versioned = OrderedDict(state)
    versioned._metadata = own._metadata  # type: ignore[attr-defined]
    return versioned
