"""Packaged defaults are what Hydra composes, for any choice of groups."""

from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.system.configuration import Config
from pipeline.system.packaged_options import MANDATORY, packaged_choices, packaged_defaults
from tests.conftest import Compose


def given(value: Any) -> Any:
    """The value as a command line gives it that names every mandatory option `x`."""
    if isinstance(value, dict):
        return {name: given(item) for name, item in value.items()}
    return "x" if value == MANDATORY else value


def leaves(config: Config, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


@pytest.mark.parametrize(
    ("choices", "mandatory"),
    [
        ({}, []),
        ({"method": "occlusion", "smooth": "noise_tunnel", "data": "huggingface", "task": "audit"}, []),
        ({"method": "conductance", "view": "layer", "launch": "slurm", "engine": "dense"}, ["layer", "launch.workers"]),
        (
            {"view": "neuron", "data": "webdataset", "model": "timm", "task": "evaluate"},
            ["layer", "neuron", "model.name"],
        ),
        ({"method": "grad_cam", "launch": "ray", "model": "checkpoint"}, ["layer", "launch.workers", "model.weights"]),
    ],
)
def test_defaults_are_what_hydra_composes(compose: Compose, choices: dict[str, str], mandatory: list[str]) -> None:
    chosen = (f"{group}={choice}" for group, choice in choices.items())
    composed, _ = compose(*chosen, *(f"{option}=x" for option in mandatory))
    defaults = packaged_defaults({**packaged_choices(), **choices})
    assert given(defaults) == composed
    without_default = [name for name, value in leaves(defaults).items() if value == MANDATORY]
    assert set(mandatory) <= set(without_default)


def test_choices_are_hydras(compose: Compose) -> None:
    _, choices = compose()
    assert packaged_choices().items() <= choices.items()


def test_a_torchvision_classifier_has_the_options_of_its_template() -> None:
    defaults = packaged_defaults({**packaged_choices(), "model": "resnet50"})
    assert defaults["model"] == packaged_defaults({**packaged_choices(), "model": "torchvision"})["model"]


@pytest.mark.parametrize("name", ["../method/ig", "/etc/passwd", "ig.yaml", "", "IG"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="no such choice; expected one of activation, conductance"):
        packaged_defaults({**packaged_choices(), "method": name})
