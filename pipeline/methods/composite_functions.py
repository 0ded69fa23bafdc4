"""Functions in which units mix, in terms of those that have a rule of their own.

Each takes what the function of its name takes, and returns NotImplemented for what is not covered.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def divide(numerator: Tensor, denominator: Any, **rounding: Any) -> Any:
    """The numerator times 1 / denominator."""
    if rounding or not isinstance(denominator, Tensor) or not denominator.requires_grad:
        return NotImplemented
    return numerator * denominator.reciprocal()


def divide_reversed(denominator: Tensor, numerator: Any) -> Any:
    """The same, for ``number / tensor``."""
    return denominator.reciprocal() * numerator


def logsumexp(inputs: Tensor, dim: int, keepdim: bool = False) -> Any:
    """The rule is that of one dimension that stays."""
    return NotImplemented if keepdim else inputs.logsumexp(dim, keepdim=True).squeeze(dim)


def log_softmax(inputs: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Inputs less their log(sum(exp))."""
    inputs = inputs.to(dtype or inputs.dtype)
    return inputs - inputs.logsumexp(dim, keepdim=True)


def softmax(inputs: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Its logarithm is the log softmax."""
    return log_softmax(inputs, dim, dtype=dtype).exp()


def softmin(inputs: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Softmax of the negative."""
    return softmax(-inputs, dim, dtype=dtype)


def glu(inputs: Tensor, dim: int = -1) -> Tensor:
    """One half times the sigmoid of the other."""
    signal, gate = inputs.chunk(2, dim)
    return signal * gate.sigmoid()


def layer_norm(
    inputs: Tensor,
    shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """Differences from the mean, times 1 / sqrt(their mean square + eps)."""
    dimensions = tuple(range(-len(shape), 0))
    centred = inputs - inputs.mean(dimensions, keepdim=True)
    normal = centred * (centred.square().mean(dimensions, keepdim=True) + eps).rsqrt()
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def group_norm(
    inputs: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    """Layer norm of each group of channels."""
    grouped = inputs.unflatten(1, (groups, -1)).flatten(2)
    normal = layer_norm(grouped, [grouped.shape[2]], eps=eps).reshape(inputs.shape)
    shape = (-1, *[1] * (inputs.ndim - 2))
    normal = normal if weight is None else normal * weight.reshape(shape)
    return normal if bias is None else normal + bias.reshape(shape)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *rest: Any, **options: Any) -> Any:
    """``scaled_dot_product_attention`` with an additive mask or none; dropout is idle in eval mode."""
    scale = options.pop("scale", None)
    mask = options.pop("attn_mask", mask)
    options.pop("dropout_p", None)
    if any(rest) or any(options.values()) or (mask is not None and mask.dtype == torch.bool):
        return NotImplemented
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    return (scores if mask is None else scores + mask).softmax(-1) @ value


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _size: int,
    heads: int,
    weight: Tensor,
    bias: Tensor,
    *rest: Any,
    **options: Any,
) -> Any:
    """``multi_head_attention_forward`` of (L, N, E) with itself: no masks, no added keys, no attention weights."""
    bias_k, bias_v, add_zero, _dropout, weight_out, bias_out = rest
    asked = options.pop("need_weights", True) or any(
        options.get(key) is not None for key in ("attn_mask", "key_padding_mask", "static_k", "static_v")
    )
    plain = query is key is value and query.ndim == 3 and bias_k is None and bias_v is None and not add_zero
    if asked or not plain or options.get("use_separate_proj_weight") or options.get("is_causal"):
        return NotImplemented
    heads_first = functional.linear(query, weight, bias).unflatten(2, (3, heads, -1)).permute(2, 1, 3, 0, 4)
    mixed = attention(heads_first[0], heads_first[1], heads_first[2]).permute(2, 0, 1, 3).flatten(2)
    return functional.linear(mixed, weight_out, bias_out), None


COMPOSED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("div", "divide", "true_divide", "itruediv", "idiv"), divide),
    **dict.fromkeys(("rdiv", "rtruediv"), divide_reversed),
    "logsumexp": logsumexp,
    "log_softmax": log_softmax,
    "softmax": softmax,
    "softmin": softmin,
    "glu": glu,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "scaled_dot_product_attention": attention,
    "multi_head_attention_forward": multi_head_attention,
}
