"""Names of a file's tensors -> a network's own names, without the prefixes of what was around it in training."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import UsageError

logger = logging.getLogger(__name__)

WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of names that torch.compile and FSDP insert anywhere; no network has them as its own."""
COUNTER = "num_batches_tracked"
"""Batch norm's counter: files older than PyTorch 0.4.1 lack it, and evaluation does not use it."""
MAX_NAMES = 3  # names of tensors in a message, before "..."


def with_own_names(state: Mapping[str, Tensor], own: Iterable[str], *, source: str | Path) -> dict[str, Tensor]:
    """Renames the tensors of a state dict to the names of a network, if they differ by a prefix alone.

    The prefix is ``module.`` of DistributedDataParallel, ``_orig_mod.`` of torch.compile, the attribute of a
    LightningModule (``model.``) or any other, repeated in any order: the one under which the file has every tensor of
    the network. Tensors beside it, such as a loss's, are ignored with a warning. The network may have a prefix that the
    file has not. If nothing fits, the shared prefix is removed that leads to the most names of the network.

    Args:
        state: Of the file.
        own: Names of the network's tensors.
        source: The file, for messages.

    Raises:
        UsageError: The file has every tensor of the network under several prefixes, with different values.
    """
    tensors = {_unwrapped(name, state): tensor for name, tensor in state.items()}
    names = {_unwrapped(name, {}): name for name in own}
    for outer in _shared_prefixes(names):
        inner = {short.removeprefix(outer): name for short, name in names.items()}
        prefixes = _fitting_prefixes(tensors, inner)
        if not prefixes:
            continue
        if "" in prefixes:
            return {inner.get(name, name): tensor for name, tensor in tensors.items()}
        _require_equal(tensors, inner, prefixes, source)
        return _without_prefix(tensors, inner, prefixes, source)
    shared = max(_shared_prefixes(tensors), key=lambda prefix: sum(prefix + name in tensors for name in names))
    short_names = {name.removeprefix(shared): tensor for name, tensor in tensors.items()}
    return {names.get(name, name): tensor for name, tensor in short_names.items()}


def first_names(names: Iterable[str]) -> str:
    """The first names, for a message."""
    listed = list(names)
    return ", ".join(listed[:MAX_NAMES]) + (", ..." if len(listed) > MAX_NAMES else "")


def _unwrapped(name: str, taken: Mapping[str, Tensor]) -> str:
    """The name without ``WRAPPERS``; unchanged if the file has that name for another tensor."""
    short = ".".join(part for part in name.split(".") if part not in WRAPPERS)
    return name if short in taken else short


def _shared_prefixes(names: Iterable[str]) -> list[str]:
    """Beginnings in whole parts that all names have, from the empty one: ``""``, ``module.``, ``module.model.``."""
    parts = [name.split(".")[:-1] for name in names]
    prefixes = [""]
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        prefixes.append(f"{prefixes[-1]}{column[0]}.")
    return prefixes


def _fitting_prefixes(tensors: Mapping[str, Tensor], own: Iterable[str]) -> list[str]:
    """Prefixes under which the file has every tensor of the network, but for ``COUNTER``."""
    required = [name for name in own if not name.endswith(COUNTER)]
    if not required:
        return [""]
    first = required[0]
    candidates = [name.removesuffix(first) for name in tensors if name == first or name.endswith(f".{first}")]
    return [prefix for prefix in candidates if all(prefix + name in tensors for name in required)]


def _require_equal(tensors: Mapping[str, Tensor], own: Iterable[str], prefixes: list[str], source: str | Path) -> None:
    first, *others = prefixes
    shared = [name for name in own if first + name in tensors]
    for other in others:
        pairs = [(tensors[first + name], tensors[other + name]) for name in shared if other + name in tensors]
        if not all(left.dtype == right.dtype and torch.equal(left, right) for left, right in pairs):
            raise UsageError(
                f"{source} has the tensors of the network more than once, under {', '.join(prefixes)}: save the ones "
                "to read alone with torch.save"
            )


def _without_prefix(
    tensors: Mapping[str, Tensor], own: Mapping[str, str], prefixes: list[str], source: str | Path
) -> dict[str, Tensor]:
    """The tensors under the first of the prefixes, without it; those under none are ignored with a warning."""
    first = prefixes[0]
    if ignored := [name for name in tensors if not name.startswith(tuple(prefixes))]:
        logger.warning("%s: ignored tensors beside the network's: %s", source, first_names(ignored))
    inside = {name.removeprefix(first): tensor for name, tensor in tensors.items() if name.startswith(first)}
    return {own.get(name, name): tensor for name, tensor in inside.items()}
