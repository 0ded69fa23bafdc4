"""The user's own network from a function that they name, and only from packages that they allow."""

import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any

from torch import nn

from pipeline.errors import UsageError
from pipeline.models.weights import fixed_seed

ENTRY_POINTS = "image_attribution_pipeline.models"


def build_network(factory: str, *, allow: str | Sequence[str]) -> nn.Module:
    """Calls a factory without arguments.

    Importing a module runs its code, so ``my_pkg.networks:build`` is imported only if ``my_pkg``, letter for letter, is
    in ``allow``. A name without a colon is an entry point (group ``image_attribution_pipeline.models``) of a package
    that the user installed. Initial weights are drawn with a fixed seed, so that every process builds the same network.

    Raises:
        UsageError: Not allowed, not found, or not a function that returns a network.
    """
    function = (
        _imported(factory, [allow] if isinstance(allow, str) else allow) if ":" in factory else _installed(factory)
    )
    if not callable(function):
        raise UsageError(f"model.factory={factory} is no function")
    with fixed_seed():
        network = function()
    if not isinstance(network, nn.Module):
        raise UsageError(f"model.factory={factory} returned {type(network).__name__}, expected torch.nn.Module")
    return network


def _imported(factory: str, allow: Sequence[str]) -> Any:
    module, function = factory.split(":", 1)
    package = module.split(".")[0]
    if package not in allow:
        raise UsageError(
            f"model.factory={factory} would run code of '{package}': allow it with model.allow=[{package}]"
        )
    try:
        return getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise UsageError(f"model.factory={factory}: {error}") from error
    except AttributeError:
        raise UsageError(f"model.factory={factory}: module {module} has no '{function}'") from None


def _installed(name: str) -> Callable[[], nn.Module]:
    found = entry_points(group=ENTRY_POINTS)
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none is installed"
        raise UsageError(
            f"model.factory={name}: no entry point of that name in group {ENTRY_POINTS} ({known}); "
            "a function of a package is named my_pkg:build"
        )
    function: Callable[[], nn.Module] = found[name].load()
    return function
