"""One of every method, and when two of their maps are the same."""

from collections.abc import Callable

import pytest
from torch import Tensor

from pipeline.methods import InputXGradient, IntegratedGradients, Method, Occlusion, Saliency

SIZE = (40, 56)  # height, width: not square, so that a swapped axis shows
TARGETS = [3, 1, 4, 1, 9]
METHODS: dict[str, Callable[..., Method]] = {
    "saliency": Saliency,
    "input x gradient": InputXGradient,
    "ig": lambda model, **options: IntegratedGradients(model, n_steps=4, **options),
    "ig of the mean": lambda model, **options: IntegratedGradients(model, n_steps=3, baselines="mean", **options),
    "occlusion": lambda model, **options: Occlusion(
        model, sliding_window_shapes=(3, 15, 25), strides=(3, 13, 20), baselines="blur", **options
    ),
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert (found - expected).abs().max() <= 1e-9 * expected.abs().max()
