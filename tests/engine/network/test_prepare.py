"""Prepared networks have the values of the networks that they are copies of, which are unchanged."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.engine.network.prepare import fold, prepare
from pipeline.engine.network.trace import CannotTrace, trace


class Block(nn.Module):
    """Convolutions and batch norms of every kind of neighbourhood, in-place operations, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.grouped_norm = nn.BatchNorm2d(8, affine=False)
        self.shared = nn.Conv2d(8, 8, 1)
        self.shared_norm = nn.BatchNorm2d(8)
        self.alone = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.first_norm(self.first(images)))
        y = self.grouped_norm(self.grouped(x))
        y += x
        z = self.shared(F.relu_(y))
        z = self.shared_norm(z) + z
        z = F.dropout(self.dropout(self.alone(z)), training=self.training)
        return self.shared(z).sigmoid_().mean((2, 3))


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    block = Block().double()
    for _ in range(3):
        block(torch.randn(8, 3, 9, 7, dtype=torch.float64))
    return block


def test_same_values_and_batch_norms_folded_where_they_may_be(block: Block) -> None:
    images = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    prepared = prepare(block)
    kept = [name for name, module in prepared.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert kept == ["shared_norm", "alone"]
    assert not any(isinstance(module, nn.Dropout) for module in prepared.modules())
    torch.testing.assert_close(prepared(images), block.eval()(images), rtol=1e-12, atol=1e-12)


def test_nothing_in_place_and_frozen(block: Block) -> None:
    prepared = prepare(block)
    values: dict[str, tuple[Tensor, Tensor]] = {}

    class Keep(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                values[n.name] = (value, value.clone())
            return value

    Keep(prepared).run(torch.randn(2, 3, 9, 7, dtype=torch.float64))
    assert all(torch.equal(value, before) for value, before in values.values())
    assert not any(parameter.requires_grad for parameter in prepared.parameters())
    assert not any(module.training for module in prepared.modules())


def test_the_network_is_unchanged(block: Block) -> None:
    before = copy.deepcopy(block)
    prepare(block)
    assert str(block) == str(before) and block.training
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in block.state_dict().items())
    assert all(parameter.requires_grad for parameter in block.parameters())


def test_convolution_read_twice_is_not_folded(block: Block) -> None:
    folded = fold(trace(block))
    assert torch.equal(folded.get_submodule("shared").weight, block.shared.weight)
    assert not torch.equal(folded.get_submodule("first").weight, block.first.weight)


def test_cannot_trace() -> None:
    class Branching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(CannotTrace, match="TraceError"):
        prepare(Branching())
