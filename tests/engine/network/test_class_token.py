"""If the head reads one token, the last block is computed for that token alone, with the same values."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import VisionTransformer

from pipeline.engine.network.prepare import fold, prepare, without_in_place
from pipeline.engine.network.trace import trace


@pytest.fixture
def transformer() -> nn.Module:
    torch.manual_seed(0)
    network = VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=64, num_classes=5)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.eval().double()


class Blocks(nn.Module):
    """Two attentions over the pixels of an image as tokens, with a residual and a perceptron behind each."""

    def __init__(self, read: Callable[[Tensor], Tensor], **options: object) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.attentions = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.perceptrons = nn.ModuleList(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)) for _ in range(2))
        self.head = nn.Linear(8, 4)
        self.read, self.options = read, {"need_weights": False, **options}

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images.flatten(2).transpose(1, 2))
        for attention, norm, perceptron in zip(self.attentions, self.norms, self.perceptrons, strict=True):
            tokens = tokens + attention(tokens, tokens, tokens, **self.options)[0]
            tokens = tokens + perceptron(norm(tokens))
        return self.read(self.head(tokens))


def work(network: nn.Module, images: Tensor) -> int:
    """Operations in matrix products of one evaluation."""
    with FlopCounterMode(display=False) as counter:
        network(images)
    return int(counter.get_total_flops())


def whole(network: nn.Module) -> nn.Module:
    """Prepared but for the last block."""
    return without_in_place(fold(trace(network)))


def test_values_and_gradients_of_a_vision_transformer(transformer: nn.Module) -> None:
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    prepared = prepare(transformer)
    expected, found = transformer(images), prepared(images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(3, 5, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), images)
    assert gradient.abs().max() > 0.01
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), images)[0], gradient, rtol=1e-9, atol=1e-12)


def test_only_the_last_blocks_keys_and_values_are_of_all_tokens(transformer: nn.Module) -> None:
    others, width, hidden = 16, 16, 64
    # Query, projection and the perceptron's two layers; what the fused attention saves is not counted.
    spared = 2 * others * (2 * width * width + 2 * width * hidden)
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    assert work(whole(transformer), images) - work(prepare(transformer), images) == spared


@pytest.mark.parametrize("token", [0, 5, 35])
def test_any_one_token(token: int) -> None:
    torch.manual_seed(0)
    network = Blocks(lambda outputs: outputs[:, token]).double().eval()
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    prepared = prepare(network)
    torch.testing.assert_close(prepared(images), network(images), rtol=1e-12, atol=1e-12)
    assert work(prepared, images) < 0.8 * work(whole(network), images)


@pytest.mark.parametrize(
    ("read", "options"),
    [
        (lambda outputs: outputs.mean(1), {}),
        (lambda outputs: outputs[:, -1], {}),
        (lambda outputs: outputs[:, 0] + outputs[:, 1], {}),
        (lambda outputs: outputs[:, 0] + outputs.mean(1), {}),
        (lambda outputs: outputs[:, 0], {"need_weights": True}),
        (lambda outputs: outputs[:, 0], {"attn_mask": torch.ones(36, 36).tril() == 0}),
    ],
    ids=["mean", "from the end", "two tokens", "one and all", "weights", "mask"],
)
def test_left_alone_where_more_is_read(read: Callable[[Tensor], Tensor], options: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = Blocks(read, **options).double().eval()
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    prepared = prepare(network)
    torch.testing.assert_close(prepared(images), network(images), rtol=1e-12, atol=1e-12)
    assert work(prepared, images) == work(whole(network), images)


def test_one_logit_is_no_token() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), OneLogit()).double().eval()
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(prepare(network)(images), network(images))


class OneLogit(nn.Module):
    def forward(self, outputs: Tensor) -> Tensor:
        return outputs[:, 2]
