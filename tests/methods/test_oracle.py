"""Every method on every kind of network, for every form of target, against Captum: float64, 1e-6 of the maximum."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pipeline.methods
from pipeline.methods import Method
from pipeline.methods.method import image_seeds
from tests.methods.rows import ELSEWHERE, ROWS, case_of
from tests.methods.zoo import ZOO

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks"),  # Captum's
    pytest.mark.filterwarnings("ignore:Input Tensor"),
]
FORMS: list[tuple[int, Any]] = [(1, 7), (3, torch.tensor([3, 1, 4])), (1, [5]), (3, 2), (1, [[3, 5]]), (3, [9, 0, 2])]
"""Images and target; [[3, 5]] is two targets for an image, as of target=top2."""
CELLS = sorted(
    (
        (name, method, FORMS[(turn + place) % len(FORMS)])
        for place, (method, row) in enumerate(ROWS.items())
        for turn, name in enumerate(name for name in ZOO if row.holds(ZOO[name]))
    ),
    key=lambda cell: list(ZOO).index(cell[0]),
)
"""Cells of the table: each method on every network, and with every form of the target on one of them."""


def of_several_targets(method: Method, images: Tensor, targets: Tensor) -> Tensor:
    """Maps of several targets (N, T, C, H, W), as the pipeline computes them."""
    scores = method.scores(images, targets)
    attribution = method.explain(images, targets, scores=scores, seeds=image_seeds(0, range(len(images))))
    if method.view.explains == "layer":
        return attribution.maps
    channels, height, width = images.shape[1:]
    return method.geometry((channels, height, width)).expand(attribution.maps.flatten(0, 1)).unflatten(0, targets.shape)


@pytest.mark.parametrize(("name", "method", "form"), CELLS, ids=[f"{name}-{method}" for name, method, _ in CELLS])
def test_equals_captum(name: str, method: str, form: tuple[int, Any]) -> None:
    (count, target), row = form, ROWS[method]
    case = case_of(name, count)
    targets = torch.as_tensor(target).reshape(1 if isinstance(target, int) else count, -1).expand(count, -1)
    maps = (
        of_several_targets(row.ours(case), case.images, targets)
        if targets.shape[1] > 1
        else row.ours(case)(case.images, target)[:, None]
    )
    for column, several in enumerate(targets.T):
        expected = row.captums(case, several).detach()
        assert maps[:, column].shape == expected.shape
        assert expected.abs().max() > 0
        assert (maps[:, column] - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_every_method_has_a_row() -> None:
    named = [getattr(pipeline.methods, name) for name in pipeline.methods.__all__]
    ours = {thing.__name__ for thing in named if isinstance(thing, type) and issubclass(thing, Method)} - {"Method"}
    rows = ROWS.keys() | ELSEWHERE.keys()
    assert ours == rows, f"tests/methods/rows.py needs a row for {ours ^ rows}"
    assert all((Path(__file__).parent / file).is_file() for file in ELSEWHERE.values())


def test_every_method_meets_every_form_of_the_target() -> None:
    met = {(method, str(form)) for _, method, form in CELLS}
    assert met == set(itertools.product(ROWS, map(str, FORMS)))
