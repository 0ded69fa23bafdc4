"""The state dict in the content of a checkpoint: its key, and if it is a moving average (EMA) of the weights."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pipeline.errors import UsageError

logger = logging.getLogger(__name__)

KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "params", "weights", "module")
"""Keys of trainers for the weights, in the order in which they are looked up. Those of EMA weights have ``ema``."""
EMA = re.compile(r"(^|_)ema(_|$)|^averaged_model$")
AVERAGES = "n_averaged"  # of torch.optim.swa_utils.AveragedModel
STATES = ("plain", "ema")
MAX_KEYS = 8  # in a message, before "..."


@dataclass(frozen=True)
class StoredWeights:
    """A state dict of a checkpoint.

    Attributes:
        key: Where it is, such as ``model_ema``; empty for a file that is one.
        state: ``plain`` or ``ema``.
        tensors: By name.
    """

    key: str
    state: str
    tensors: dict[str, Tensor]


def find_state_dict(content: object, source: str | Path, *, states: Sequence[str] = STATES) -> dict[str, Tensor]:
    """Finds the weights in a checkpoint; where it has several, the log says which are read.

    Args:
        content: Of the file.
        source: The file, for messages.
        states: Of ``STATES``, the ones to read; of two the first, if it is there.

    Raises:
        UsageError: There is no state dict of these states, or several with no known key.
    """
    candidates = list(_candidates(content))
    if not candidates:
        raise UsageError(f"{source} has no state dict: {_described(content)}")
    present = [state for state in states if any(candidate.state == state for candidate in candidates)]
    if not present:
        keys = ", ".join(candidate.key or "the state dict alone" for candidate in candidates)
        raise UsageError(f"{source} has no {states[0]} weights (it has {keys}): leave model.state=null")
    chosen = [candidate for candidate in candidates if candidate.state == present[0]]
    known = [candidate for candidate in chosen if _rank(candidate) < len(KEYS)]
    if len(chosen) > 1 and not known and present[0] == "plain":
        keys = ", ".join(candidate.key for candidate in chosen)
        raise UsageError(f"{source} has several state dicts, {keys}: save the one to read alone with torch.save")
    best = min(known or chosen, key=_rank)
    if len(candidates) > 1:
        others = ", ".join(candidate.key for candidate in candidates if candidate is not best)
        logger.info("%s: read %s (%s weights), not %s; model.state chooses", source, best.key, best.state, others)
    return best.tensors


def _rank(candidate: StoredWeights) -> int:
    """Place of the candidate's key in ``KEYS``."""
    first = re.split(r"[.\[]", candidate.key)[0]
    return KEYS.index(first) if first in KEYS else len(KEYS)


def _candidates(content: object, key: str = "", state: str = "plain") -> Iterator[StoredWeights]:
    """Every state dict of a checkpoint, in the file's order."""
    if not isinstance(content, dict):
        return
    if content and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()):
        yield from _split(content, key, state)
        return
    for name, value in content.items():
        if not isinstance(name, str) or (key and name not in KEYS and not EMA.search(name)):
            continue  # of a part of the file, such as an optimizer, only the known keys are state dicts
        yield from _candidates(value, f"{key}.{name}" if key else name, "ema" if EMA.search(name) else state)


def _split(tensors: dict[str, Tensor], key: str, state: str) -> Iterator[StoredWeights]:
    """A state dict as one candidate, or two if names as ``ema_model.conv.weight`` repeat ``model.conv.weight``."""
    averaged = {name for name in tensors if EMA.search(name.split(".")[0])}
    plain = tensors.keys() - averaged
    endings = {ending for name in plain for ending in _endings(name)}
    inner = {name.partition(".")[2].removeprefix("module.") for name in averaged}
    # Otherwise it is a layer of the network that is named ema.
    repeated = bool(inner and plain) and all(name in endings or name == AVERAGES for name in inner)
    if state == "ema" or not repeated:
        yield StoredWeights(key, state, tensors)
        return
    for part, names in (("plain", plain), ("ema", averaged)):
        own = {name: value for name, value in tensors.items() if name in names}
        yield StoredWeights(f"{key}[{next(iter(own)).split('.')[0]}]", part, own)


def _endings(name: str) -> list[str]:
    """``a.b.weight`` -> ``a.b.weight``, ``b.weight``, ``weight``."""
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _described(content: object) -> str:
    """Description of a file without a state dict, for the message."""
    expected = f"expected tensors by name, alone or under one of {', '.join(KEYS)}"
    if not isinstance(content, dict):
        return f"it has a {type(content).__name__}; {expected}"
    tensors = [name for name, value in content.items() if isinstance(value, Tensor)]
    others = [f"{name} ({type(value).__name__})" for name, value in content.items() if name not in tensors]
    if tensors and others:
        return f"among its tensors are other values, {_first(others)}; {expected}"
    return f"its keys are {_first([str(name) for name in content]) or 'none'}; {expected}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:MAX_KEYS]) + (", ..." if len(names) > MAX_KEYS else "")
