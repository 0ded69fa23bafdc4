"""Networks built by a user's factory function, from allowed packages or entry points alone."""

import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from torch import nn

from pipeline.errors import UsageError
from pipeline.models.failure_place import failure_place, failure_reason
from pipeline.models.unsupported import unsupported
from pipeline.models.weights import fixed_seed
from pipeline.system.signals import Stopped

ENTRY_POINTS = "image_attribution_pipeline.models"


def build_network(factory: str, *, allow: str | Sequence[str]) -> nn.Module:
    """Calls a factory without arguments.

    Importing a module runs its code, so ``my_pkg.networks:build`` is imported only if ``my_pkg``, letter for letter, is
    in ``allow``. A name without a colon is an entry point (group ``image_attribution_pipeline.models``) of a package
    that the user installed. Initial weights are drawn with a fixed seed, so that every process builds the same network.

    Raises:
        UsageError: The factory is not allowed, does not exist, fails, needs an argument, or does not return a network
            that can be explained. The message has the file and the line.
    """
    packages = [allow] if isinstance(allow, str) else allow
    if ":" in factory:
        package = factory.split(":")[0].split(".")[0]
        function = _import_function(factory, packages)
    else:
        entry_point = _entry_point(factory)
        package = entry_point.module.split(".")[0]
        with _one_line(factory, package):
            function = entry_point.load()
    if not callable(function):
        raise UsageError(f"model.factory={factory} is no function")
    place = _definition(function)
    _require_no_arguments(function, f"model.factory={factory}{place}")
    with _one_line(factory, package), fixed_seed():
        network = function()
    if not isinstance(network, nn.Module):
        raise UsageError(f"model.factory={factory}{place} returned {type(network).__name__}, expected torch.nn.Module")
    if problem := unsupported(network):
        raise UsageError(f"model.factory={factory}{place}: {problem}")
    return network


def _import_function(factory: str, allow: Sequence[str]) -> Any:
    module, function = factory.split(":", 1)
    package = module.split(".")[0]
    if package not in allow:
        raise UsageError(
            f"model.factory={factory} would run code of '{package}': allow it with model.allow=[{package}]"
        )
    with _one_line(factory, package):
        imported = importlib.import_module(module)
    try:
        return getattr(imported, function)
    except AttributeError:
        raise UsageError(f"model.factory={factory}: module {module} has no '{function}'") from None


@contextmanager
def _one_line(factory: str, package: str) -> Iterator[None]:
    """Turns whatever the user's code raises inside into one line with its file and line number."""
    try:
        yield
    except Stopped:
        raise
    except (Exception, SystemExit) as error:
        place = failure_place(error, package)
        reason = f"{failure_reason(error)}{place and f' (at {place})'}"
        raise UsageError(f"model.factory={factory} failed: {reason}") from error


def _require_no_arguments(function: Callable[..., object], name: str) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C has none
        return
    try:
        signature.bind()
    except TypeError as error:
        raise UsageError(f"{name} is called without arguments, and needs some ({error}): give each a default") from None


def _definition(function: Callable[..., object]) -> str:
    """`` (FILE:LINE)`` of a function's or class's definition; empty if it has none in Python."""
    try:
        _, line = inspect.getsourcelines(function)
        return f" ({inspect.getsourcefile(function)}:{line})"
    except (TypeError, OSError):
        return ""


def _entry_point(name: str) -> EntryPoint:
    installed = entry_points(group=ENTRY_POINTS)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none is installed"
        raise UsageError(
            f"model.factory={name}: no entry point of that name in group {ENTRY_POINTS} ({known}); "
            "a function of a package is named my_pkg:build"
        )
    return installed[name]
