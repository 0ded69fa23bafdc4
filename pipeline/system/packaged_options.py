"""Every option with its default, read from the packaged YAML files as data: nothing is instantiated."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UsageError
from pipeline.system.configuration import Config, conf_folder

MANDATORY = "???"
"""The value of an option that has no default."""
_GLOBAL = "# @package _global_"  # first line of a file whose options stand at the top level
_REFERENCE = re.compile(r"\$\{(\w+)\}")


def packaged_choices() -> dict[str, Any]:
    """The file of each group that is chosen by default; None where a group is left out."""
    entries = (entry for entry in _read(conf_folder() / "config.yaml")["defaults"] if isinstance(entry, dict))
    choices = {group: choice for entry in entries for group, choice in entry.items()}
    return {group: choice for group, choice in choices.items() if not group.startswith("override ")}


def packaged_defaults(choices: Mapping[str, Any]) -> Config:
    """Composes the packaged configuration without overrides, as Hydra would.

    Args:
        choices: The chosen file of each group, such as ``{"method": "ig"}``, for all of `packaged_choices`.

    Returns:
        The options as plain data; one without a default is `MANDATORY`.

    Raises:
        UsageError: A group has no such file.
    """
    root = _read(conf_folder() / "config.yaml")
    composed = {name: value for name, value in root.items() if name not in ("defaults", "hydra")}
    for group in packaged_choices():
        if choices[group] is not None:
            file = _file(group, str(choices[group]))
            # `defaults` is an experiment's: `choices` already has what it overrides
            options = {name: value for name, value in _read(file).items() if name != "defaults"}
            composed |= options if file.read_text().startswith(_GLOBAL) else {group: options}
    return {name: _resolve(value, composed) for name, value in composed.items()}


def _file(group: str, choice: str) -> Path:
    """The file of a choice. The name is compared with those in the folder, never joined: it may be an untrusted one."""
    files = {file.stem: file for file in (conf_folder() / group).glob("*.yaml")}
    if group == "model" and choice not in files:
        return files["torchvision"]  # `model=resnet50` is a copy of it, registered by the command line
    if choice not in files:
        raise UsageError(f"{group}={choice}: no such choice; expected one of {', '.join(sorted(files))}")
    return files[choice]


@cache
def _read(file: Path) -> Config:
    """The content of a file, never changed by who reads it."""
    options: Config = yaml.safe_load(file.read_text()) or {}
    return options


def _resolve(value: Any, composed: Config) -> Any:
    """The value, with ``${name}`` replaced by that top-level option: nodes of methods and views refer to theirs."""
    if isinstance(value, dict):
        return {name: _resolve(item, composed) for name, item in value.items()}
    if isinstance(value, str) and (reference := _REFERENCE.fullmatch(value)):
        return composed[reference[1]]
    return value
