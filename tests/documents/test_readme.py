"""README.md, docs/recipes.md, docs/runs.md: every command and Python block runs, on small data with fewer points."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import resnet18
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from pipeline.data.demo_photographs import write_demo_photographs
from tests.commands import Command

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [README, *((ROOT / "docs" / page).read_text() for page in ("recipes.md", "runs.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FEWER_POINTS = {"n_steps=200": "n_steps=2", "tol=0.05": "tol=0.9", "strides=[3,9,9]": "strides=[3,45,45]"}
FEWER_POINTS["task.images=500"] = "task.images=1"
ELSEWHERE = "/data/"  # neither these images nor these weights are here: such a command is only composed


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the recipes call the reader's own."""
    write_demo_photographs(tmp_path / "demo")
    for name, source in {"castle": "n03877845/china.jpg", "cat": "n02123159/chelsea.png"}.items():
        image = Image.open(tmp_path / "demo" / source)
        image.thumbnail((320, 320))
        (tmp_path / "my_photographs" / name).mkdir(parents=True)
        image.save(tmp_path / "my_photographs" / name / "1.png")
    torch.save(resnet18(num_classes=2).state_dict(), tmp_path / "my_weights.pth")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ViTForImageClassification(ViTConfig(**size, num_labels=2)).save_pretrained(tmp_path / "my_vit")
    ViTImageProcessor().save_pretrained(tmp_path / "my_vit")
    monkeypatch.syspath_prepend(tmp_path)  # as `python -m` has it
    return tmp_path


def run_command(command: str, folder: Path) -> None:
    words = shlex.split(command)
    if words[0] == "bash":  # a script that would install and test everything once more
        subprocess.run(["bash", "-n", *words[1:]], cwd=ROOT, check=True)
    elif words[0] == "python":
        assert words[:3] == ["python", "-m", "pipeline"]
        arguments = [FEWER_POINTS.get(word, word) for word in words[3:]]
        answer = Command([*arguments, "--cfg", "job"] if ELSEWHERE in command else arguments, folder).wait(300)
        assert answer.status == 0, f"{command}\n{answer.out}\n{answer.err}"
    else:
        assert command == ". .venv/bin/activate"


def run_python(source: str, folder: Path) -> None:
    file_name = re.match(r"# (\w+\.py)\n", source)
    if file_name:
        (folder / file_name[1]).write_text(source)
        return
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", source], cwd=folder, env=environment, check=True, timeout=300)


@pytest.mark.slow
def test_every_block_runs_after_those_before_it(workplace: Path) -> None:
    blocks = [block for page in PAGES for block in BLOCK.findall(page)]
    assert {language for language, _ in blocks} == {"bash", "python"}
    for language, source in blocks:
        if language == "python":
            run_python(source, workplace)
        else:
            for command in source.splitlines():
                run_command(command, workplace)
    assert (workplace / "outputs/mine/report/index.html").is_file()
    assert (workplace / "explanation.png").is_file()


def test_it_can_be_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 180


def test_the_map_of_the_code_is_whole() -> None:
    named = set(re.findall(r"`((?:pipeline|conf|scripts|tests)/[\w/.]*)`", README))
    there = {f"pipeline/{path.name}" for path in (ROOT / "pipeline").glob("*.py")} - {"pipeline/__init__.py"}
    there |= {f"pipeline/{path.parent.name}/" for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert {name for name in named if name.startswith("pipeline/")} == there | {"pipeline/"}
