import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml

from pipeline.errors import UsageError
from pipeline.system.configuration import build, check_arguments, conf_folder, flatten, nearest, targets, unknown_option
from tests.conftest import Compose

GROUPS = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted(conf_folder().iterdir())
    if folder.is_dir()
}
METHODS = GROUPS["method"]
GIVEN: dict[str, dict[str, object]] = {
    "occlusion": {"sliding_window_shapes": [3, 15, 15], "strides": [3, 8, 8]},
    "deeplift_shap": {"baselines": ["black", "white"]},
    "gradient_shap": {"baselines": ["black", "white"]},
}
"""What Captum demands and the command line gives; and Occlusion's strides, because Captum's of one take hours."""


def keys(file: Path) -> set[str]:
    """Full names of what a file of a group sets; its group's own node is one name."""
    text = file.read_text()
    names = yaml.safe_load(text) or {}
    if "@package _global_" not in text.splitlines()[0]:
        return {f"{file.parent.name}.{name}" for name in flatten(names)}
    return {name for name in flatten(names) if name.split(".")[0] != file.parent.name} | {file.parent.name}


def needed(group: str, choice: str) -> list[str]:
    """Arguments for what the file of a choice leaves open."""
    text = (conf_folder() / group / f"{choice}.yaml").read_text()
    open_keys = [key for key, value in yaml.safe_load(text).items() if value == "???"]
    return [f"{key if '@package _global_' in text else f'{group}.{key}'}=x" for key in open_keys]


def covering(groups: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    """Few rows of one choice of each group, such that any two choices of different groups stand in some row."""
    choices = [[(group, choice) for choice in choices] for group, choices in groups.items()]
    pairs = itertools.chain(*(itertools.product(*two) for two in itertools.combinations(choices, 2)))
    left = set(map(frozenset, pairs))
    while left:
        row = dict(min(map(sorted, left)))
        for one in choices:
            gains = {choice: sum(frozenset((choice, other)) in left for other in row.items()) for choice in one}
            row.setdefault(*max(gains, key=gains.__getitem__))
        left -= {pair for pair in left if pair <= row.items()}
        yield row


def collisions(folder: Path) -> Iterator[str]:
    """Each key that two groups, or a group and config.yaml, both set."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    root = {name for name in flatten(config) if name.split(".")[0] not in ("defaults", "hydra")}
    groups = [file.parent.name for file in folder.glob("*/*.yaml")]
    sets = [(file.stem, keys(file)) for file in folder.glob("*/*.yaml")]
    for (name, names), group in zip(sets, groups, strict=True):
        yield from (f"{group}={name} and config.yaml: {key}" for key in names & (root | set(groups) - {group}))
        for (other, others), another in zip(sets, groups, strict=True):
            if group < another:
                yield from (f"{group}={name} and {another}={other}: {key}" for key in names & others)


def test_no_two_groups_set_one_key() -> None:
    """But for the layer of a method that has one, which no view but the input's goes with."""
    found = set(collisions(conf_folder()))
    layered = {
        method for method in METHODS if "layer: ???" in (conf_folder() / "method" / f"{method}.yaml").read_text()
    }
    refused = {f"method={method} and view={view}: layer" for method in layered for view in ("layer", "neuron")}
    assert found == refused and len(layered) >= 3


def test_collision_is_found(tmp_path: Path) -> None:
    files = {
        "config.yaml": "defaults: [method: shap, smooth: tunnel]\nseed: 0",
        "method/shap.yaml": "# @package _global_\nstdevs: 0.1\nmethod: {_target_: x, stdevs: 1}",
        "smooth/tunnel.yaml": "# @package _global_\nstdevs: 0.2\nsmooth: {_target_: y, stdevs: 1}",
        "smooth/none.yaml": "stdevs: 0",
        "data/seeded.yaml": "# @package _global_\nseed: 1",
        "data/rude.yaml": "# @package _global_\nmethod: {x: 1}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sorted(collisions(tmp_path)) == [
        "data=rude and config.yaml: method",
        "data=rude and method=shap: method",
        "data=seeded and config.yaml: seed",
        "method=shap and smooth=tunnel: stdevs",
    ]


def test_rows_cover_all_pairs() -> None:
    groups = {"a": ["1", "2", "3"], "b": ["1"], "c": ["1", "2"]}
    found = {pair for row in covering(groups) for pair in itertools.combinations(row.items(), 2)}
    assert len(found) == 3 * 1 + 3 * 2 + 1 * 2


@pytest.mark.slow
def test_every_pair_of_choices_composes(compose: Compose) -> None:
    for row in covering(GROUPS):
        open_options = [argument for group, choice in row.items() for argument in needed(group, choice)]
        config, choices = compose(*(f"{group}={choice}" for group, choice in row.items()), *open_options)
        assert row.items() <= choices.items()
        assert {config["method"]["_target_"], config["model"]["_target_"]} <= targets()


@pytest.mark.parametrize("method", METHODS)
def test_method_has_the_defaults_of_its_constructor(method: str) -> None:
    written = yaml.safe_load((conf_folder() / "method" / f"{method}.yaml").read_text())
    parameters = inspect.signature(resolve_name(written.pop("method")["_target_"])).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    del defaults["model"], defaults["internal_batch_size"]
    given = GIVEN.get(method, {})
    assert all(defaults[name] in (inspect.Parameter.empty, None) for name in given)
    defaults |= given
    expected = {name: "???" if value is inspect.Parameter.empty else value for name, value in defaults.items()}
    assert written == expected
    assert all(type(written[name]) is type(value) for name, value in expected.items())


@pytest.mark.parametrize("method", METHODS)
def test_method_options_stand_at_the_top_level(method: str) -> None:
    written = yaml.safe_load((conf_folder() / "method" / f"{method}.yaml").read_text())
    node = written.pop("method")
    del node["_target_"]
    assert node == {name: f"${{{name}}}" for name in written}


def metrics_as_written() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Metrics of task=evaluate: what is called, with which options."""
    written = yaml.safe_load((conf_folder() / "task" / "evaluate.yaml").read_text())
    nodes = {name: dict(node) for name, node in written.items() if isinstance(node, dict)}
    return {name: (resolve_name(node.pop("_target_")), node) for name, node in nodes.items()}


def test_metrics_have_the_defaults_of_their_constructors() -> None:
    assert len(metrics_as_written()) >= 10
    for target, options in metrics_as_written().values():
        parameters = inspect.signature(target).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        assert options == {name: list(one) if isinstance(one, tuple) else one for name, one in defaults.items()}
        assert all(type(options[name]) is type(one) for name, one in defaults.items() if not isinstance(one, tuple))


def test_targets_are_the_packaged_ones(tmp_path: Path) -> None:
    assert {"pipeline.methods.Saliency", "pipeline.models.demo.load"} <= targets()
    assert all(callable(resolve_name(target)) for target in targets())
    assert all(target.startswith("pipeline.") for target in targets())


@pytest.mark.parametrize(
    "target", ["os.mkdir", "pipeline.methods.torch.hub.load", "pipeline.models.demo.load ", "pipeline.methods"]
)
def test_build_calls_nothing_else(target: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="_target_"):
        build({"_target_": target, "path": str(tmp_path / "made")})
    assert not (tmp_path / "made").exists()


def test_build_tells_what_a_constructor_refuses() -> None:
    with pytest.raises(UsageError, match="n_steps"):
        build({"_target_": "pipeline.methods.IntegratedGradients", "n_steps": 0}, None)


@pytest.mark.parametrize(
    "argument",
    ["n_steps=200", "data.root=/a", "-m", "--multirun", "--help", "--cfg", "job", "hydra.sweeper.max_batch_size=1"],
)
def test_plain_arguments_pass(argument: str) -> None:
    check_arguments([argument])


def test_options_of_the_near_names() -> None:
    known = ["n_steps", "data.root", "data.limit", "store", "method"]
    assert unknown_option(["n_steps=3", "data.root=/a"], known) is None
    assert "data.root" in str(unknown_option(["root=/a"], known))
    assert "method=occlusion" in str(unknown_option(["method=occlusion", "n_step=3"], known))
    assert nearest("n_stepp", known) == "; did you mean n_steps?"
    assert "--help" in nearest("zebra", known)
