"""Images at which a network kills the process, and checks of a run that quarantined them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

import pipeline
from pipeline.store.verify import verify

NETWORKS = '''
import ctypes
import os
import signal
import time

from torch import nn
from tiny_networks import build

DEATHS = [lambda: os._exit(9), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: ctypes.string_at(0)]


class Deadly(nn.Sequential):
    """Kills the process at an image of a single colour; the colour decides how."""

    def forward(self, images):
        for image in images:
            colour = image.mean((1, 2))
            if image.flatten(1).std(1).max() < 1e-6 and colour.std() > 0.1:
                DEATHS[int(colour.argmax())]()
        return super().forward(images)


class Slow(Deadly):
    def forward(self, images):
        time.sleep(0.2)
        return super().forward(images)


def deadly():
    return Deadly(*build())


def slow():
    return Slow(*build())
'''


def copy_photographs_and_network(dataset: Path, folder: Path) -> list[str]:
    """Copy the small photographs, and write a network that dies at images of one colour; the arguments of a run."""
    (folder / "deadly_networks.py").write_text(NETWORKS)
    shutil.copytree(dataset, folder / "photographs")
    return [
        f"data.root={folder / 'photographs'}", "model.factory=deadly_networks:deadly",
        "model.allow=[deadly_networks]", "method=saliency", "dtype=float64", "store.dtype=float64",
        "store.shard_size=6", "report.images=false", f"output_dir={folder / 'run'}",
    ]  # fmt: skip


def add_deadly_images(photographs: Path, colours: dict[str, str]) -> set[str]:
    """Write images of one colour into a folder of photographs, by number of the class folder; their paths."""
    folders = sorted(photographs.iterdir())
    names = set()
    for place, colour in colours.items():
        number, name = place.split("/")
        path = folders[int(number)] / name
        Image.new("RGB", (40, 40), colour).save(path)
        names.add(str(path.relative_to(photographs)))
    return names


def check_quarantined(run: Path, names: set[str], unbroken: Path) -> None:
    """Check that a run quarantined these images only, and explains all others like the unbroken run."""
    assert verify(run).is_intact and not list(run.rglob("*.part"))
    lines = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert {(line["path"], line["stage"]) for line in lines} == {(name, "killed") for name in names}
    assert all(re.search(r"the process died \d times .* at last with no other", line["error"]) for line in lines)
    found = {str(one.path): one for one in pipeline.open_run(run)}
    expected = {str(one.path): one for one in pipeline.open_run(unbroken)}
    assert found.keys() == expected.keys() and len(found) == 12
    for path, one in expected.items():
        np.testing.assert_allclose(found[path].native, one.native, rtol=0, atol=1e-9 * np.abs(one.native).max())
