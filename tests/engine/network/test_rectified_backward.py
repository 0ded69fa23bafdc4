"""Every form of ReLU has the rewritten backward pass inside the context, and its own outside."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.engine.network.rectified_backward import RectifiedBackward


class Failure(Exception):
    pass


def formula(values, gradient, *, highest, where_active):
    positive = gradient.clamp(min=0)
    return positive * ((values > 0) & (values < highest)) if where_active else positive


@pytest.mark.parametrize("where_active", [True, False])
@pytest.mark.parametrize(
    ("call", "highest"),
    [
        (nn.ReLU(), torch.inf),
        (nn.ReLU(inplace=True), torch.inf),
        (nn.ReLU6(), 6),
        (F.relu, torch.inf),
        (torch.relu, torch.inf),
        (torch.ops.aten.relu.default, torch.inf),
        (lambda x: x.relu(), torch.inf),
        (lambda x: x.relu_(), torch.inf),
        (lambda x: F.relu(x, True), torch.inf),
        (lambda x: F.relu(input=x, inplace=True), torch.inf),
        (F.relu6, 6),
        (lambda x: F.hardtanh(x, 0, 3, inplace=True), 3),
    ],
)
def test_every_form_of_relu_has_the_rewritten_backward(call, highest, where_active):
    x = (8 * torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    weights = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with RectifiedBackward(where_active=where_active) as mode:
        rectified = call(x * 1)
    assert mode.rewritten == 1
    torch.testing.assert_close(rectified, x.clamp(0, highest))
    (gradient,) = torch.autograd.grad((rectified * weights).sum(), x)
    torch.testing.assert_close(gradient, formula(x, weights, highest=highest, where_active=where_active))


def test_in_place_changes_the_tensor_it_was_called_on():
    x = torch.tensor([-1.0, 2.0])
    with RectifiedBackward(where_active=True):
        F.relu_(x)
    assert x.tolist() == [0, 2]


def test_the_backward_pass_is_the_networks_own_after_an_error():
    x = torch.tensor([3.0], requires_grad=True)
    with pytest.raises(Failure), RectifiedBackward(where_active=True):
        raise Failure
    assert torch.autograd.grad(-F.relu(x).sum(), x)[0].item() == -1


def test_other_non_linearities_are_named_and_unchanged():
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    with RectifiedBackward(where_active=True) as mode:
        total = (F.gelu(x) + nn.Hardswish()(x) + nn.Hardtanh(-2, 2)(x)).sum()
    assert (mode.rewritten, mode.others) == (0, {"gelu", "hardswish", "hardtanh"})
    with_mode = torch.autograd.grad(total, x)[0]
    without = torch.autograd.grad((F.gelu(x) + F.hardswish(x) + F.hardtanh(x, -2, 2)).sum(), x)[0]
    assert torch.equal(with_mode, without)
