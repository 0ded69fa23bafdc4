"""The forms of outputs that networks return, all as logits (N, K)."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.models.logits import with_logits
from tests.models.channel_scores import Network


@pytest.mark.parametrize(
    ("form", "outputs"),
    [
        (lambda scores: scores, 5),
        (lambda scores: scores, 1),
        (lambda scores: scores[:, 0], 1),
        (lambda scores: SimpleNamespace(logits=scores), 5),
        (lambda scores: SimpleNamespace(logits=scores[:, 0]), 1),
    ],
    ids=["(N, K)", "(N, 1)", "(N,)", "logits (N, K)", "logits (N,)"],
)
def test_every_supported_output_becomes_logits_of_two_axes(form, outputs):
    torch.manual_seed(0)
    network = Network(form, outputs)
    network.eval()
    module, n_outputs = with_logits(network, (16, 16))
    images = torch.randn(4, 3, 16, 16)
    assert n_outputs == outputs
    assert torch.equal(module(images), network.linear(network.norm(images).mean((2, 3))))
    traced = torch.fx.symbolic_trace(module)
    assert torch.equal(traced(images), module(images))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda scores: (scores, scores), "a tuple without logits"),
        (lambda scores: {"logits": scores}, "a dict without logits"),
        (lambda scores: SimpleNamespace(logits=None), "logits of type NoneType"),
        (lambda scores: scores[..., None], r"shape \(1, 5, 1\)"),
        (lambda scores: scores.squeeze(), r"shape \(5,\)"),
        (lambda scores: scores.sum(), r"shape \(\)"),
        (lambda scores: scores[:, :0], r"shape \(1, 0\)"),
        (lambda scores: scores.argmax(1), "torch.int64"),
    ],
)
def test_any_other_output_is_refused_with_its_form(form, message):
    with pytest.raises(UsageError, match=message):
        with_logits(Network(form).eval(), (16, 16))


def test_a_network_that_returns_logits_is_returned_unchanged():
    network = Network().eval()
    assert with_logits(network, (16, 16))[0] is network


def test_the_black_image_has_the_dtype_of_the_parameters():
    module, n_outputs = with_logits(Network().double().eval(), (16, 16))
    assert n_outputs == 5 and module(torch.zeros(1, 3, 16, 16, dtype=torch.float64)).dtype == torch.float64


class OutOfMemory(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")


def test_too_little_memory_for_one_image_is_no_fault_of_its_size():
    with pytest.raises(UsageError, match="not even one image of 16 x 24 pixels fits"):
        with_logits(OutOfMemory(), (16, 24))


class Failing(nn.Module):
    """Raises an error in its forward pass."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x768 and 12x3)"),
        RuntimeError("The size of tensor a (50) must match the size of tensor b (197)"),
        RuntimeError("Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3)."),
        ValueError("Input image size (32*32) doesn't match model (224*224)."),
        AssertionError("Input height (32) doesn't match model (224)."),
    ],
)
def test_an_error_of_the_size_names_the_option(error):
    with pytest.raises(
        UsageError, match=r"16 x 16 pixels .*: set data\.transform\.crop to its input size \(at /.*\.py:\d+\)"
    ):
        with_logits(Failing(error), (16, 16))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("expected scalar type Float but found Double"),
        NotImplementedError("Module [Net] is missing the required forward function"),
        TypeError("forward() missing 1 required positional argument: 'size'"),
        KeyError("absent"),
        AttributeError("'Net' object has no attribute 'size'"),
        IndexError("list index out of range"),
        ZeroDivisionError("division by zero"),
    ],
)
def test_any_other_error_of_the_network_is_refused_with_its_file_and_line(error):
    with pytest.raises(
        UsageError, match=r"is evaluated as network\(images\).* \(at /.*test_logits\.py:\d+\)"
    ) as refusal:
        with_logits(Failing(error), (16, 16))
    assert "data.transform.crop" not in str(refusal.value) and "\n" not in str(refusal.value)
    assert type(error).__name__ in str(refusal.value) or type(error) in (RuntimeError, NotImplementedError)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_reason_of_torchscript_is_its_last_line():
    script = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)))
    with pytest.raises(UsageError, match=r"mat1 and mat2 .*: set data\.transform\.crop"):
        with_logits(script, (16, 16))
