import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from pipeline.system.configuration import conf_folder
from tests.commands import CommandResult, command

Run = Callable[..., CommandResult]


@pytest.fixture
def run(tmp_path: Path, networks: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command line in an empty folder, where the small networks can be imported."""
    monkeypatch.syspath_prepend(networks)
    folder = tmp_path / "empty"
    folder.mkdir()
    return lambda *arguments: command(*arguments, folder=folder)


def refused(result: CommandResult, *words: str) -> None:
    assert result.status == 2, result.err
    assert "Traceback" not in result.err + result.out
    assert result.err.endswith("\n") and result.err.count("\n") == 1, result.err
    assert result.err.startswith("pipeline: ")
    for word in words:
        assert word in result.err


def test_module_runs_as_a_command(tmp_path: Path) -> None:
    """The one test that pays for a Python of its own; the others fork one that has imported everything."""
    root = Path(__file__).parents[1]
    arguments = [sys.executable, "-m", "pipeline", "method=occlusion", "n_steps=200"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(root)})
    refused(CommandResult(done.returncode, done.stdout, done.stderr, 0), "n_steps", "method=occlusion")
    assert not list(tmp_path.iterdir())


def test_help_names_every_choice(run: Run) -> None:
    result = run("--help")
    assert result.status == 0 and not result.err
    overview = result.out[result.out.index("\nmethod=") : result.out.index("The options,")]
    words = set(overview.replace(",", " ").split())
    for file in conf_folder().glob("*/*.yaml"):
        assert file.stem in words and f"{file.parent.name}=" in words, file
    assert "any torchvision classifier" in overview


def test_cfg_job_prints_the_configuration(run: Run, tmp_path: Path) -> None:
    result = run("--cfg", "job", "method=occlusion", "strides=4")
    config = yaml.safe_load(result.out)
    assert result.status == 0 and config["strides"] == 4 and config["store"]["dtype"] == "float16"
    assert "n_steps" not in config
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["n_step=200"], ["n_step:", "did you mean n_steps?"]),
        (["method=occlusion", "n_step=200"], ["n_step:"]),
        (["method=occlusion", "n_steps=200"], ["n_steps", "method=occlusion"]),
        (["method=saliency", "baselines=black"], ["baselines", "method=saliency"]),
        (["abs=false"], ["abs", "method=ig"]),
        (["batchsize=2"], ["batchsize", "batch_size"]),
        (["root=/data"], ["root", "data.root"]),
        (["data.rot=/data"], ["data.rot", "data.root"]),
        (["store.dtipe=float32"], ["store.dtipe", "store.dtype"]),
        (["model.wights=null"], ["model.wights"]),
    ],
    ids=" ".join,
)
def test_unknown_option_is_named_with_the_nearest(run: Run, arguments: list[str], words: list[str]) -> None:
    refused(run(*arguments), *words)


@pytest.mark.parametrize(
    ("argument", "word"),
    [
        ("method=igg", "did you mean ig?"),
        ("method=grad_camel", "method=grad_camel"),
        ("model=resnet5", "resnet50"),
        ("task=verfy", "verify"),
        ("store=parquet", "store=parquet"),
        ("method=ig,saliency", "-m"),
        ("method=[ig,saliency]", "-m method=ig,saliency"),
        ("seed=1,2", "-m"),
    ],
)
def test_unknown_choice_is_named(run: Run, argument: str, word: str) -> None:
    refused(run(argument), word)


@pytest.mark.parametrize("argument", ["+n_step=200", "++n_steps=200", "~n_steps", "+method=saliency", "++data.x=1"])
def test_options_are_not_added_or_removed(run: Run, argument: str) -> None:
    refused(run(argument), argument)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["model=timm"], "model.name"), (["model=checkpoint"], "model.weights"), (["task=status"], "run=PATH")],
)
def test_missing_option_is_named(run: Run, arguments: list[str], option: str) -> None:
    refused(run(*arguments), option)


@pytest.mark.parametrize("path", ["/a=b", "/a b (1)", "/a[1]", "/a,b{", "/it's"])
def test_line_shows_the_quoted_form(run: Run, path: str) -> None:
    result = run(f"data.root={path}")
    refused(result, f'"{path}"')


@pytest.mark.parametrize("path", ["/a=b", "/a b (1)", "/a[1]", "/a,b{"])
def test_quoted_form_is_understood(run: Run, path: str) -> None:
    refused(run(f'data.root="{path}"'), f"cannot list '{path}'")


def test_arguments_that_are_no_options(run: Run) -> None:
    refused(run("n_steps"), "n_steps")
    refused(run("data.root="), "data.root")


TOUCH = "{_target_: pathlib.Path.touch, self: HERE}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["method._target_=os.mkdir"],
        ["model._target_=joblib.load", "model.filename=x"],
        ["model._target_=pipeline.models.torch.hub.load"],
        ["model._target_=pipeline.models.demo.load.__globals__"],
        ["method={_target_:os.mkdir,path:HERE}"],
        ["model={_target_:os.mkdir,path:HERE}"],
        ['method={"_target_":os.mkdir,path:HERE}'],
        ["method={'_target_' : os.mkdir, path : HERE}"],
        ["hydra.callbacks={x:{_target_:distutils.spawn.spawn,cmd:[mkdir,HERE]}}"],
        ["+hydra.callbacks.x._target_=distutils.spawn.spawn", "+hydra.callbacks.x.cmd=[mkdir,HERE]"],
        ["hydra.callbacks.x._target_=distutils.spawn.spawn"],
        ["hydra.launcher._target_=os.mkdir", "-m"],
        ["hydra.sweeper._target_=os.mkdir", "-m"],
        ["hydra.launcher={_target_:os.mkdir,path:HERE}", "-m"],
        ["hydra/launcher={_target_:os.mkdir,path:HERE}", "-m"],
        ["hydra.searchpath=[file://CONF]", "model=evil"],
        ["--config-dir", "CONF", "model=evil"],
        ["--config-dir=CONF", "model=evil"],
        ["--config-di=CONF", "model=evil"],
        ["-cd", "CONF", "model=evil"],
        ["-cdCONF", "model=evil"],
        ["--config-path", "CONF", "model=evil"],
        ["--config-name", "CONF/model/evil"],
        ["-cp=CONF", "-cn=evil"],
        ["--experimental-rerun", "CONF/evil.pickle"],
        ["--experimental-r=CONF/evil.pickle"],
        ["data.limit=${oc.create:{_target_:os.mkdir}}"],
        ["engine._target_=os.mkdir", "-m"],
    ],
    ids=" ".join,
)
def test_only_packaged_targets_are_called(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    here = tmp_path / "made"
    evil = tmp_path / "conf" / "model" / "evil.yaml"
    evil.parent.mkdir(parents=True)
    evil.write_text(f"_target_: os.mkdir\npath: {here}\n")
    result = run(*(word.replace("HERE", str(here)).replace("CONF", str(evil.parents[1])) for word in arguments))
    assert not here.exists()
    refused(result)


@pytest.mark.parametrize(
    "argument",
    ["method._target_=pipeline.models.demo.load", "model._target_=pipeline.methods.Saliency"],
)
def test_packaged_target_in_another_place(run: Run, argument: str) -> None:
    refused(run(argument), "_target_")


def test_wrong_surroundings(run: Run, tmp_path: Path, tiny: list[str]) -> None:
    """What is wrong outside of the command line is one line too."""
    (tmp_path / "hollow" / "n01440764").mkdir(parents=True)
    (tmp_path / "noise.pth").write_bytes(b"noise")
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pth")
    refused(run(*tiny, f"data.root={tmp_path / 'nowhere'}"), "data.root", "nowhere")
    refused(run(*tiny, f"data.root={tmp_path / 'hollow'}"), "hollow")
    refused(run(*tiny, f"data.root={tmp_path / 'noise.pth'}"), "noise.pth")
    refused(run(*tiny, f"model.weights={tmp_path / 'nowhere.pth'}"), "nowhere.pth")
    refused(run(*tiny, f"model.weights={tmp_path / 'noise.pth'}"), "noise.pth")
    refused(run(*tiny, f"model.weights={tmp_path / 'other.pth'}"), "other.pth")
    refused(run(*tiny, f"model.weights={tmp_path}"), "weights")
    refused(run(*tiny, "model.factory=tiny_networks:nothing"), "nothing")
    refused(run(*tiny, "model.allow=[]"), "model.allow")
    refused(run(*tiny, f"output_dir={tmp_path / 'noise.pth'}"), "output_dir", "noise.pth")
    refused(run(*tiny, "output_dir=/proc/run"), "output_dir", "/proc/run")
    refused(run("task=verify", f"run={tmp_path / 'nowhere'}"), "nowhere")
    refused(run("task=report", f"run={tmp_path}"), str(tmp_path))
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_that_is_not_there(run: Run, tiny: list[str]) -> None:
    refused(run(*tiny, "device=cuda"), "device=cuda")


def test_each_run_of_a_sweep_has_its_folder(run: Run, tmp_path: Path, tiny: list[str]) -> None:
    result = run("-m", *tiny, "method=saliency,input_x_gradient")
    assert result.status == 0, result.err
    folders = sorted((tmp_path / "empty" / "outputs").iterdir())
    assert [folder.name.split("-")[0] for folder in folders] == ["input_x_gradient", "saliency"]
    assert [folder.name for folder in (tmp_path / "empty").iterdir()] == ["outputs"]
    assert all((folder / "report" / "index.html").is_file() for folder in folders)


def test_first_failure_is_the_sweeps_and_the_other_jobs_run(run: Run, tmp_path: Path, tiny: list[str]) -> None:
    result = run("-m", *tiny, "method=saliency", "target=dog,label,1000,pred")
    assert result.status == 2 and result.err.count("pipeline: ") == 2, result.err
    assert len(list((tmp_path / "empty" / "outputs").iterdir())) == 2


def test_nothing_is_written_outside_the_runs_folder(run: Run, tmp_path: Path, tiny: list[str]) -> None:
    result = run(*tiny, "method=saliency", f"output_dir={tmp_path / 'deep' / 'run'}")
    assert result.status == 0, result.err
    assert not list((tmp_path / "empty").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "deep"}
    assert {path.name for path in (tmp_path / "deep" / "run").iterdir()} == {
        "config.yaml", "run.log", "manifest.h5", "shards", "workers", "failures.jsonl", "summary.json", "summary.csv",
        "index.h5", "report",
    }  # fmt: skip


def test_runs_that_start_in_the_same_second_have_their_own_folders(tmp_path: Path, tiny: list[str]) -> None:
    from tests.commands import Command

    started = [Command([*tiny, "method=ig", f"n_steps={steps}"], tmp_path) for steps in (2, 3)]
    assert [one.wait().status for one in started] == [0, 0]
    assert len(list((tmp_path / "outputs").iterdir())) == 2
