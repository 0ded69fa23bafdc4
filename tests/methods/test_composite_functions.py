"""Composite functions: their decompositions have PyTorch's values, and refuse arguments that they do not cover."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods import composite_functions as composite

GENERATOR = torch.Generator().manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


X, WEIGHT, BIAS = random(2, 4, 6, 6), random(4), random(4)
QUERY, KEY, VALUE, MASK = random(2, 3, 5, 8), random(2, 3, 7, 8), random(2, 3, 7, 4), random(5, 7)
PAIRS: dict[str, tuple[Tensor, Tensor]] = {
    "divide": (composite.divide(X, X.requires_grad_()), torch.ones_like(X)),
    "divide reversed": (composite.divide_reversed(X, 3), 3 / X),
    "logsumexp": (composite.logsumexp(X, 1), X.logsumexp(1)),
    "log softmax": (composite.log_softmax(X, 1), X.log_softmax(1)),
    "log softmax of another dtype": (
        composite.log_softmax(X.float(), 1, dtype=torch.float64),
        X.float().log_softmax(1, dtype=torch.float64),
    ),
    "softmax": (composite.softmax(X, 2), X.softmax(2)),
    "softmin": (composite.softmin(X, 1), functional.softmin(X, 1)),
    "glu": (composite.glu(X, 1), functional.glu(X, 1)),
    "layer norm": (
        composite.layer_norm(X, [6, 6], random(6, 6).fill_(2), random(6, 6).fill_(3), 0.1),
        functional.layer_norm(X, [6, 6], torch.full((6, 6), 2.0).double(), torch.full((6, 6), 3.0).double(), 0.1),
    ),
    "group norm": (
        composite.group_norm(X, 2, WEIGHT, BIAS, 0.1),
        functional.group_norm(X, 2, WEIGHT, BIAS, 0.1),
    ),
    "attention": (
        composite.attention(QUERY, KEY, VALUE),
        functional.scaled_dot_product_attention(QUERY, KEY, VALUE),
    ),
    "attention with a mask and a scale": (
        composite.attention(QUERY, KEY, VALUE, attn_mask=MASK, scale=0.3),
        functional.scaled_dot_product_attention(QUERY, KEY, VALUE, attn_mask=MASK, scale=0.3),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_are_pytorchs(name: str) -> None:
    decomposed, expected = PAIRS[name]
    torch.testing.assert_close(decomposed, expected, rtol=1e-10, atol=1e-12)


def attend(**options: object) -> tuple[object, object]:
    """A multi-head attention's function decomposed, and PyTorch's, with the arguments that the module gives it."""
    module, x = nn.MultiheadAttention(8, 2, dtype=torch.float64).eval(), random(5, 2, 8)
    arguments = (
        *(x, x, x, 8, 2, module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0),
        *(module.out_proj.weight, module.out_proj.bias),
    )
    options = {"training": False, "need_weights": False, **options}
    return (
        composite.multi_head_attention(*arguments, **options),
        functional.multi_head_attention_forward(*arguments, **options),
    )


def test_multi_head_attention() -> None:
    decomposed, expected = attend()
    torch.testing.assert_close(decomposed[0], expected[0], rtol=1e-10, atol=1e-12)  # type: ignore[index]


NOT_COVERED: dict[str, Callable[[], object]] = {
    "division that rounds": lambda: composite.divide(X, X, rounding_mode="floor"),
    "division by a number": lambda: composite.divide(X, 3),
    "logsumexp that keeps the dimension": lambda: composite.logsumexp(X, 1, keepdim=True),
    "boolean mask": lambda: composite.attention(QUERY, KEY, VALUE, MASK > 0),
    "causal attention": lambda: composite.attention(QUERY, KEY, VALUE, is_causal=True),
    "attention weights": lambda: attend(need_weights=True)[0],
    "attention mask": lambda: attend(attn_mask=torch.zeros(5, 5).double())[0],
    "key padding mask": lambda: attend(key_padding_mask=torch.zeros(2, 5).double())[0],
}


@pytest.mark.parametrize("name", NOT_COVERED)
def test_other_arguments_are_not_covered(name: str) -> None:
    assert NOT_COVERED[name]() is NotImplemented
