"""The affine first layers map a straight path to a straight path, and their Jacobian is the same everywhere."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.engine.network.affine_stem import split_affine_stem
from pipeline.engine.network.prepare import prepare
from tests.networks import images, residual, small_vgg


@pytest.mark.parametrize("build", [residual, small_vgg])
def test_stem_and_rest_are_the_network(build: object) -> None:
    network, x = build().double(), images(3, 32, 32)  # type: ignore[operator]
    stem = split_affine_stem(prepare(network))
    assert stem is not None
    torch.testing.assert_close(stem.rest(stem(x)), network(x))
    start, end = x[:1], x[1:2]
    middle = stem(start + 0.3 * (end - start))
    torch.testing.assert_close(middle, stem(start) + 0.3 * (stem(end) - stem(start)), rtol=1e-12, atol=1e-12)


def test_pull_back_is_the_vector_jacobian_product_at_any_point() -> None:
    stem, x = split_affine_stem(prepare(residual().double())), images(2, 32, 32)
    assert stem is not None
    gradients = torch.randn(2, 3, 8, 16, 16, dtype=torch.float64)
    products = stem.pull_back(gradients, x)
    assert products.shape == (2, 3, 3, 32, 32)
    torch.testing.assert_close(products, stem.pull_back(gradients, torch.zeros_like(x)))
    moved = torch.randn_like(x)  # <gradient, A(x + m) - A(x)> = <product, m>
    change = stem(x + moved) - stem(x)
    torch.testing.assert_close((gradients * change[:, None]).sum((2, 3, 4)), (products * moved[:, None]).sum((2, 3, 4)))


class Normalised(nn.Module):
    """A constant that is computed before the stem and read behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.scale = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale + 1
        return self.last((self.first(x).relu() * scale).mean((2, 3)))


def test_a_constant_of_the_rest() -> None:
    network, x = Normalised().double().eval(), images(2, 32, 32)
    stem = split_affine_stem(prepare(network))
    assert stem is not None
    torch.testing.assert_close(stem.rest(stem(x)), network(x))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3)),
    ],
)
def test_none_without_a_convolution(network: nn.Module) -> None:
    assert split_affine_stem(prepare(network)) is None


def test_it_ends_where_two_operations_read_a_value() -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            first = self.first(x)
            return self.second(first) + first

    stem = split_affine_stem(prepare(Skips()))
    assert stem is not None and len(list(stem.layers)) == 1  # type: ignore[call-overload]
