"""The packaged configuration: its folder, the objects that it may name, building them, and checking arguments."""

import inspect
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pipeline.errors import UsageError

FLAGS = ("--help", "-h", "--hydra-help", "--version", "--multirun", "-m", "--cfg", "-c", "--resolve", "--info", "-i")
"""Allowed flags of Hydra. --config-dir would load other configurations, and --experimental-rerun a pickle."""

Config = dict[str, Any]
"""A composed configuration as plain data."""


def conf_folder() -> Path:
    """Folder of the YAML files: ``conf/`` of the repository, or its copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


@cache
def targets() -> frozenset[str]:
    """Every ``_target_`` in the packaged configuration; nothing else is ever called."""
    named = re.compile(r"^\s*_target_:\s*(\S+)", re.MULTILINE)
    return frozenset(target for file in conf_folder().rglob("*.yaml") for target in named.findall(file.read_text()))


def build(node: Config, *arguments: object, **options: object) -> Any:
    """Calls the ``_target_`` of a configuration node with the node's other keys.

    Raises:
        UsageError: The target is not one of :func:`targets`, or an option's value is invalid for it.
    """
    keywords = {key: value for key, value in node.items() if key != "_target_"}
    if node["_target_"] not in targets():
        raise UsageError(f"_target_={node['_target_']} is not in the packaged configuration")
    target = resolve_name(node["_target_"])
    _check_switches(target, keywords)
    try:
        return target(*arguments, **keywords, **options)
    except ValueError as error:
        raise UsageError(str(error)) from error


def has_option(node: Config, option: str) -> bool:
    """True if the ``_target_`` of a configuration node has a parameter of this name."""
    return node["_target_"] in targets() and option in inspect.signature(resolve_name(node["_target_"])).parameters


def _check_switches(target: Any, options: Config) -> None:
    """Raises UsageError unless exactly the options whose defaults are true or false have such values."""
    parameters = inspect.signature(target).parameters
    for name, value in options.items():
        if name not in parameters:
            raise UsageError(f"{name}: _target_={target.__module__}.{target.__qualname__} has no such option")
        if isinstance(parameters[name].default, bool) != isinstance(value, bool):
            switch = isinstance(parameters[name].default, bool)
            raise UsageError(f"{name}={value}: expected {'' if switch else 'something other than '}true or false")


def check_arguments(arguments: Iterable[str]) -> None:
    """Refuses arguments that Hydra accepts, but that are unsafe or silently do nothing.

    Raises:
        UsageError: On the first such argument.
    """
    for argument in arguments:
        if argument.startswith(("+", "~")):
            raise UsageError(f"{argument}: options are not added or removed; write {argument.lstrip('+~')}")
        if argument.startswith("-") and argument not in FLAGS:  # argparse also accepts --config-di and -cdFOLDER
            raise UsageError(f"{argument}: no such flag, there are {', '.join(FLAGS)}; options are given as name=value")
        if "_target_" in argument and argument.partition("_target_=")[2] not in targets():
            raise UsageError(f"{argument}: a _target_ must be one of the packaged configuration")
        if argument.startswith("hydra.") and not argument.startswith(("hydra.launcher.", "hydra.sweeper.")):
            raise UsageError(
                f"{argument}: of Hydra's own options, those of hydra.launcher and hydra.sweeper may be set"
            )
        if re.match(r"method=\[", argument):
            raise UsageError(f"{argument}: one method a run; for several, -m method={argument[8:].rstrip(']')}")


def unknown_option(arguments: Iterable[str], known: Iterable[str]) -> str | None:
    """One line that names the first unknown option and the nearest known ones; None if all are known.

    Args:
        arguments: The command line, ``key=value``.
        known: Full names of all options and groups.
    """
    known = sorted(known)
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    for key in given:
        if not key.startswith(("-", "hydra")) and key not in known:
            method = given.get("method", "ig")
            return f"{key}: neither method={method} nor the pipeline has such an option{nearest(key, known)}"
    return None


def nearest(name: str, known: Collection[str]) -> str:
    """Suggestion for an unknown name: ``; did you mean ...?``, or how to list the options if none is near."""
    known = [other for other in known if not other.startswith("method.")]  # a method's options are at the top level
    ends_alike = [other for other in known if other.split(".")[-1] == name]
    near = ends_alike or get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "; python -m pipeline --help lists the options"


def flatten(config: Config, prefix: str = "") -> Iterable[str]:
    """Dotted names of all options and groups."""
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
