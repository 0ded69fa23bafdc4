"""A small folder of photographs, a small network in a package of its own, and configurations of both."""

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image, ImageOps

from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.run.job import Job, prepare_job
from pipeline.run.options import RunOptions
from pipeline.system.configuration import Config, conf_folder
from pipeline.tasks import perform

FACTORIES = '''
import torch
from torch import nn


def build(outputs=1000):
    layers = [nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(144, outputs))


def three():
    return build(3)


def column():
    return build(1)


def number():
    return nn.Sequential(build(1), nn.Flatten(0))


class Undefined(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = build()

    def forward(self, images):
        return self.network(images) + torch.where(images.mean((1, 2, 3)) > 0, torch.nan, 0.0)[:, None]


class Steep(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = build()

    def forward(self, images):
        return self.network(images) + torch.sqrt(images.flatten(1).sum(1) * 0)[:, None]


class Constant(nn.Module):
    def forward(self, images):
        return torch.ones(len(images), 1000)


def constant():
    return Constant()


def undefined():
    """A network that gives NaN for all but dark images."""
    return Undefined()


def steep():
    """A network whose gradient is infinite everywhere."""
    return Steep()
'''

Compose = Callable[..., tuple[Config, dict[str, str]]]
Prepare = Callable[..., Job]
Status = Callable[..., int]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small photographs, four of each of three ImageNet classes."""
    demo, folder = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("dataset")
    write_demo_photographs(demo)
    for number, source in enumerate(sorted(demo.rglob("*.*"))[:3]):
        image = Image.open(source).convert("RGB")
        image.thumbnail((100 - 10 * number, 80 + 10 * number))
        turned = {"a": image, "b": ImageOps.mirror(image), "c": ImageOps.flip(image), "d": ImageOps.invert(image)}
        for name, picture in turned.items():
            path = folder / source.parent.name / f"{name}.jpg"
            path.parent.mkdir(exist_ok=True)
            picture.save(path)
    return folder


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package ``tiny_networks``, importable, and the weights ``tiny.pth`` of its ``build``."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "tiny_networks.py").write_text(FACTORIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        from tiny_networks import build  # type: ignore[import-not-found] # written just now

        generator = torch.Generator().manual_seed(0)
        weights = {name: 0.3 * torch.randn(t.shape, generator=generator) for name, t in build().state_dict().items()}
        torch.save(weights, folder / "tiny.pth")
    return folder


@pytest.fixture
def tiny(networks: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that explain the small photographs with the small network, on a CPU, in this process alone."""
    monkeypatch.syspath_prepend(networks)
    return [
        f"data.root={dataset}",
        "data.transform.resize=32",
        "data.transform.crop=32",
        "model=checkpoint",
        "model.factory=tiny_networks:build",
        "model.allow=[tiny_networks]",
        f"model.weights={networks / 'tiny.pth'}",
        "device=cpu",
        "num_workers=0",
        "batch_size=4",
    ]


@pytest.fixture
def compose() -> Compose:
    """Composes a command line as ``__main__`` does: the configuration as plain data, and the choices."""

    def composed(*arguments: str) -> tuple[Config, dict[str, str]]:
        with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
            config = hydra.compose("config", overrides=list(arguments), return_hydra_config=True)
        choices = dict(config.hydra.runtime.choices)
        own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        plain = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}, choices

    return composed


@pytest.fixture
def job(compose: Compose, tiny: list[str], tmp_path: Path) -> Prepare:
    """Prepares a job of the small photographs and network; its run is ``tmp_path / "run"`` by default."""

    def prepared(*arguments: str) -> Job:
        return prepare_job(RunOptions.from_config(*compose(*tiny, f"output_dir={tmp_path / 'run'}", *arguments)))

    return prepared


@pytest.fixture
def explain(compose: Compose, tiny: list[str], tmp_path: Path) -> Status:
    """The exit status of a command line about the small photographs and network; its run is ``tmp_path / "run"``."""

    def status(*arguments: str) -> int:
        return perform(*compose(*tiny, f"output_dir={tmp_path / 'run'}", *arguments))

    return status
