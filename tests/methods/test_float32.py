"""In float32 a map is as near to the float64 map as Captum's float32 map is."""

import copy
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from pipeline.view import View
from tests.methods.rows import ROWS, Case
from tests.methods.zoo import ZOO, network, photographs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks"),  # Captum's
    pytest.mark.filterwarnings("ignore:Input Tensor"),
]
SIZE = (32, 40)
ENGINES = {"plain": (False, "dense", 2.0), "prepared": (True, "dense", 2.5), "incremental": (True, "auto", 3.5)}
"""Prepared, engine, and how many times Captum's distance ours may be."""
BY_ENGINE = {"plain": list(ROWS), "prepared": ["IntegratedGradients", "Occlusion"], "incremental": ["Occlusion"]}
CELLS = [(engine, method) for engine, methods in BY_ENGINE.items() for method in methods]


def of_class_2(method: str, model: nn.Module | View, module: nn.Module, dtype: torch.dtype) -> tuple[Case, Tensor]:
    case = Case(ZOO["resnet18"], model, module, photographs(*SIZE).to(dtype))
    return case, ROWS[method].ours(case)(case.images, 2)


@lru_cache(maxsize=1)
def single() -> nn.Module:
    return copy.deepcopy(network("resnet18")).float()


@lru_cache(maxsize=1)
def exact(method: str) -> Tensor:
    module = network("resnet18")
    return of_class_2(method, View(module), module, torch.float64)[1]


@pytest.mark.parametrize(("engine", "method"), sorted(CELLS, key=lambda cell: cell[1]))
def test_as_near_as_captum(engine: str, method: str) -> None:
    """Lower quartile over images of the relative L2 distance to the float64 map.

    Rounding may push a point over a ReLU's kink, ours or Captum's, by chance: a few images are then 1000 times further
    off than the others, and any mean over images compares luck. What is left in the lower quartile is the rounding of
    sums: one order of summation against another, hence 2. The prepared network runs in channels_last, where oneDNN's
    convolutions round twice as much (Captum's do too in that layout), hence 2.5. Incremental occlusion takes the
    difference of two logits that were summed in different orders (EfficientNet-Lite0: 5.0e-6 against 2.1e-6), hence
    3.5.
    """
    prepare, choice, slack = ENGINES[engine]
    case, ours = of_class_2(method, View(single(), prepare=prepare, engine=choice), single(), torch.float32)
    captums = ROWS[method].captums(case, torch.full((len(case.images),), 2)).detach()
    distance, bar = (
        ((maps - exact(method)).flatten(1).norm(dim=1) / exact(method).flatten(1).norm(dim=1)).quantile(0.25)
        for maps in (ours, captums)
    )
    assert 0 < distance <= slack * bar < 1e-4
