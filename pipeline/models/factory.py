"""Networks built by a user's factory function, from allowed packages or entry points alone."""

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
        UsageError: The factory is not allowed, does not exist, or does not return a network.
    """
    packages = [allow] if isinstance(allow, str) else allow
    function = _import_function(factory, packages) if ":" in factory else _load_entry_point(factory)
    if not callable(function):
        raise UsageError(f"model.factory={factory} is no function")
    with fixed_seed():
        network = function()
    if not isinstance(network, nn.Module):
        raise UsageError(f"model.factory={factory} returned {type(network).__name__}, expected torch.nn.Module")
    return network


def _import_function(factory: str, allow: Sequence[str]) -> Any:
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


def _load_entry_point(name: str) -> Callable[[], nn.Module]:
    installed = entry_points(group=ENTRY_POINTS)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none is installed"
        raise UsageError(
            f"model.factory={name}: no entry point of that name in group {ENTRY_POINTS} ({known}); "
            "a function of a package is named my_pkg:build"
        )
    function: Callable[[], nn.Module] = installed[name].load()
    return function
