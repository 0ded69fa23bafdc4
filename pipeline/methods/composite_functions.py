"""Composite functions (softmax, norms, attention, ...) decomposed into functions that have a rule of DeepLift.

Each takes the arguments of the function of its name, and returns NotImplemented for arguments that are not covered.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def divide(numerator: Tensor, denominator: Any, **rounding: Any) -> Any:
    """Decompose a quotient: the numerator times 1 / denominator."""
    if rounding or not isinstance(denominator, Tensor) or not denominator.requires_grad:
        return NotImplemented
    return numerator * denominator.reciprocal()


def divide_reversed(denominator: Tensor, numerator: Any) -> Any:
    """Decompose ``number / tensor``."""
    return denominator.reciprocal() * numerator


def logsumexp(inputs: Tensor, dim: int, keepdim: bool = False) -> Any:
    """Keep the reduced dimension, as the rule of logsumexp needs it, then drop it."""
    return NotImplemented if keepdim else inputs.logsumexp(dim, keepdim=True).squeeze(dim)


def log_softmax(inputs: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Decompose log softmax: the inputs less their log(sum(exp))."""
    inputs = inputs.to(dtype or inputs.dtype)
    return inputs - inputs.logsumexp(dim, keepdim=True)


def softmax(inputs: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Decompose softmax: exp of the log softmax."""
    return log_softmax(inputs, dim, dtype=dtype).exp()


def softmin(inputs: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Decompose softmin: softmax of the negative."""
    return softmax(-inputs, dim, dtype=dtype)


def glu(inputs: Tensor, dim: int = -1) -> Tensor:
    """Decompose a gated linear unit: one half of the channels times the sigmoid of the other."""
    values, gates = inputs.chunk(2, dim)
    return values * gates.sigmoid()


def layer_norm(
    inputs: Tensor,
    shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """Decompose layer norm: differences from the mean, times 1 / sqrt(their mean square + eps)."""
    dimensions = tuple(range(-len(shape), 0))
    centred = inputs - inputs.mean(dimensions, keepdim=True)
    normalised = centred * (centred.square().mean(dimensions, keepdim=True) + eps).rsqrt()
    normalised = normalised if weight is None else normalised * weight
    return normalised if bias is None else normalised + bias


def group_norm(
    inputs: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    """Decompose group norm: layer norm of each group of channels."""
    grouped = inputs.unflatten(1, (groups, -1)).flatten(2)  # (n, groups, values of a group)
    normalised = layer_norm(grouped, [grouped.shape[2]], eps=eps).reshape(inputs.shape)
    shape = (-1, *[1] * (inputs.ndim - 2))  # of a weight for each channel, (C, 1, ...)
    normalised = normalised if weight is None else normalised * weight.reshape(shape)
    return normalised if bias is None else normalised + bias.reshape(shape)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *rest: Any, **options: Any) -> Any:
    """Decompose ``scaled_dot_product_attention`` with an additive mask or none; dropout does nothing in eval mode."""
    scale = options.pop("scale", None)
    mask = options.pop("attn_mask", mask)
    options.pop("dropout_p", None)
    # what is left in rest and options may be is_causal or enable_gqa: not covered unless false
    if any(rest) or any(options.values()) or (mask is not None and mask.dtype == torch.bool):
        return NotImplemented
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)  # (..., L, S)
    return (scores if mask is None else scores + mask).softmax(-1) @ value


def multi_head_attention(  # torch's own signature
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
    """Decompose ``multi_head_attention_forward``: self-attention of (L, N, E), no masks, added keys or weights."""
    bias_k, bias_v, add_zero, _dropout, weight_out, bias_out = rest
    masked = any(options.get(key) is not None for key in ("attn_mask", "key_padding_mask", "static_k", "static_v"))
    returns_weights = options.pop("need_weights", True)
    plain = query is key is value and query.ndim == 3 and bias_k is None and bias_v is None and not add_zero
    if masked or returns_weights or not plain or options.get("use_separate_proj_weight") or options.get("is_causal"):
        return NotImplemented
    projected = functional.linear(query, weight, bias).unflatten(2, (3, heads, -1))  # (L, N, 3, heads, E / heads)
    heads_first = projected.permute(2, 1, 3, 0, 4)  # (3, N, heads, L, E / heads)
    mixed = attention(heads_first[0], heads_first[1], heads_first[2]).permute(2, 0, 1, 3).flatten(2)  # (L, N, E)
    return functional.linear(mixed, weight_out, bias_out), None


COMPOSITE_FUNCTIONS: dict[str, Callable[..., Any]] = {
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
