"""Typed options have a field for each key of the packaged files, and no other; config.yaml gets their values."""

import os
from dataclasses import replace

import pytest

from pipeline.data.data_options import DataOptions
from pipeline.errors import UsageError
from pipeline.run.launch_options import LAUNCH_OPTIONS
from pipeline.run.options import EngineOptions, ReportOptions, RunOptions, StoreOptions
from pipeline.system.configuration import conf_folder
from pipeline.system.packaged_options import packaged_choices, packaged_defaults
from pipeline.tasks import TASKS
from tests.conftest import Compose

READERS = {
    "data": lambda _, node: DataOptions.from_node(node),
    "engine": lambda _, node: EngineOptions(**node),
    "launch": lambda choice, node: LAUNCH_OPTIONS[choice](**node),
    "store": lambda _, node: StoreOptions(**node),
    "task": lambda choice, node: TASKS[choice].options.from_node(node),
}


@pytest.mark.parametrize("group", READERS)
def test_each_file_of_a_group_fills_its_class(group: str) -> None:
    """A key without a field, or a field without a key, is a TypeError."""
    for file in (conf_folder() / group).glob("*.yaml"):
        node = packaged_defaults({**packaged_choices(), group: file.stem})[group]
        options = READERS[group](file.stem, node)
        values = vars(options)
        renamed = {"data": {"list": "list_file"}}.get(group, {})
        for name, value in node.items():
            if not isinstance(value, dict):
                assert values[renamed.get(name, name)] == value
    assert packaged_defaults(packaged_choices())["report"] == vars(ReportOptions(images=True))


def test_options_of_a_configuration(compose: Compose) -> None:
    options = RunOptions.from_config(*compose("n_steps=7", "target=[3,1]", "data.classes=[9,a]", "store.dtype=float32"))
    assert options.method["n_steps"] == 7 and options.target == [3, 1] and options.smooth is None
    assert options.data.classes == ["9", "a"] and options.store.dtype == "float32"
    assert options.names.method == "ig" and options.is_local
    tunnel = RunOptions.from_config(*compose("smooth=noise_tunnel", "launch=processes", "launch.workers=2"))
    assert tunnel.smooth is not None and tunnel.smooth["nt_samples"] == 5
    assert not tunnel.is_local and tunnel.launch.workers == 2


def test_a_value_out_of_range_is_refused_at_the_door(compose: Compose) -> None:
    with pytest.raises(UsageError, match="seed=-1"):
        RunOptions.from_config(*compose("seed=-1"))


def test_config_yaml_gets_the_values_of_the_object(compose: Compose) -> None:
    config, choices = compose("method=occlusion", "strides=4", "data.root=here")
    options = RunOptions.from_config(config, choices)
    assert options.to_config() == config | {"names": choices}
    moved = replace(options, device="cuda:1", data=replace(options.data, root="/there"))
    expected = config | {"names": choices, "device": "cuda:1", "data": config["data"] | {"root": "/there"}}
    assert moved.to_config() == expected


def test_decoding_processes(compose: Compose) -> None:
    config, choices = compose()
    assert RunOptions.from_config(config, choices).decoding_processes == min(8, len(os.sched_getaffinity(0)))
    assert RunOptions.from_config(config | {"num_workers": 0}, choices).decoding_processes == 0
