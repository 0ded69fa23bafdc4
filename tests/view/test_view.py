"""Values and gradients of each kind of output equal formulas and one backward pass for each point."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.view import OUTPUTS, View
from tests.networks import Perceptron, images, small_vgg

SHAPE = (3, 8, 16)
TARGETS = torch.tensor([[0, 2], [1, 1], [2, 0], [0, 1]])


def formula(logits: Tensor, target: int, output: str, multi_label: bool) -> Tensor:
    """The output that is explained, of one row of logits, by its definition."""
    if output == "logit":
        return logits[target]
    single = multi_label or len(logits) == 1
    others = 1 + torch.exp(-logits[target]) if single else torch.exp(logits - logits[target]).sum()
    return 1 / others if output == "probability" else -torch.log(others)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("output", OUTPUTS)
def test_values_and_gradients(output: str, multi_label: bool, prepare: bool) -> None:
    network, points = Perceptron(SHAPE), images(4, *SHAPE[1:])
    view = View(network, output=output, multi_label=multi_label, prepare=prepare)
    values, gradients, inputs = view.gradients(points, TARGETS)
    assert torch.equal(inputs, points)
    assert values.shape == (4, 2) and gradients.shape == (4, 2, *SHAPE)
    assert not values.requires_grad and not gradients.requires_grad
    torch.testing.assert_close(view.values(points, TARGETS), values, rtol=1e-12, atol=1e-14)
    for row in range(4):
        for column in range(2):
            point = points[row].clone().requires_grad_()
            value = formula(network(point[None])[0], int(TARGETS[row, column]), output, multi_label)
            value.backward()
            torch.testing.assert_close(values[row, column], value.detach(), rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(gradients[row, column], point.grad, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("last", [nn.Identity(), nn.Flatten(0)], ids=["(N, 1)", "(N,)"])
def test_a_single_output_has_a_sigmoid(output: str, last: nn.Module) -> None:
    network, points = nn.Sequential(Perceptron(SHAPE, classes=1), last), images(4, *SHAPE[1:])
    view, zero = View(network, output=output), torch.zeros(4, 1, dtype=torch.int64)
    assert view.logits(points).shape == (4, 1)
    expected = [formula(logits, 0, output, False) for logits in view.logits(points)]
    torch.testing.assert_close(view.values(points, zero)[:, 0], torch.stack(expected), rtol=1e-12, atol=1e-14)


def test_probabilities_of_large_logits_stay_finite() -> None:
    logits = torch.tensor([[1000.0, -1000.0]], dtype=torch.float64)
    for multi_label in (False, True):
        for output in ("probability", "log_probability"):
            assert View(nn.Identity(), output=output, multi_label=multi_label).outputs(logits).isfinite().all()


def test_a_prepared_view_gives_values_first_and_gradients_then() -> None:
    """Values are taken in inference mode, which must not reach what the gradients are taken with."""
    network, points = small_vgg().double(), images(2, 40, 56)
    view, targets = View(network, prepare=True), torch.tensor([[1], [2]])
    values = view.values(points, targets)
    torch.testing.assert_close(view.gradients(points, targets)[0], values)


def test_a_prepared_view_follows_its_model() -> None:
    network, points, targets = small_vgg().double(), images(2, 40, 56), torch.tensor([[1], [2]])
    view = View(network, prepare=True)
    before = view.values(points, targets)
    with torch.no_grad():
        network[-1].bias += 1
    torch.testing.assert_close(view.values(points, targets), before + 1)


def test_wrong_output() -> None:
    with pytest.raises(ValueError, match="output must be one of logit, probability, log_probability, not 'loss'"):
        View(nn.Identity(), output="loss")


def test_the_device_is_the_models() -> None:
    assert View(small_vgg().to("meta")).device == torch.device("meta")
    assert View(nn.BatchNorm2d(3, affine=False).to("meta")).device == torch.device("meta")
    assert View(nn.Identity()).device == torch.device("cpu")
