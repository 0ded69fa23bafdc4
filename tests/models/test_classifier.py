from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models.classifier import IMAGENET_CLASSES, Classifier

PREPROCESSING = Preprocessing(20, (16, 16), mean=(0.5,) * 3, std=(0.25,) * 3)


class Network(nn.Module):
    """Returns ``form`` of K linear scores of the channels' means; takes nothing but 16 x 16 pixels if ``fixed``."""

    def __init__(self, form=lambda scores: scores, outputs: int = 5, fixed: bool = False) -> None:
        super().__init__()
        self.form, self.fixed = form, fixed
        self.norm, self.linear = nn.BatchNorm2d(3), nn.Linear(3, outputs)

    def forward(self, images: Tensor) -> object:
        if self.fixed and images.shape[-2:] != (16, 16):
            raise ValueError("expected 16 x 16\nand a second line")
        return self.form(self.linear(self.norm(images).mean((2, 3))))


def wrap(network: nn.Module, **options) -> Classifier:
    return Classifier.wrap(network, "net", **{"preprocessing": PREPROCESSING} | options)


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
    classifier = wrap(network)
    images = torch.randn(4, 3, 16, 16)
    assert classifier.n_outputs == outputs
    assert torch.equal(classifier.module(images), network.linear(network.norm(images).mean((2, 3))))
    traced = torch.fx.symbolic_trace(classifier.module)
    assert torch.equal(traced(images), classifier.module(images))


@pytest.mark.parametrize(
    ("form", "said"),
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
def test_any_other_output_is_refused_in_words(form, said):
    with pytest.raises(UsageError, match=said):
        wrap(Network(form))


def test_a_network_that_refuses_the_crop_is_one_line_that_names_the_option():
    with pytest.raises(UsageError, match=r"16 x 24 pixels \(expected 16 x 16\): set data\.transform\.crop") as refusal:
        wrap(Network(fixed=True), preprocessing=Preprocessing(None, (16, 24), mean=(0.5,) * 3, std=(0.5,) * 3))
    assert "\n" not in str(refusal.value)


def test_the_network_is_taken_over_frozen_and_not_run_in_training_mode():
    network = Network().double()
    before = network.norm.running_mean.clone()
    classifier = wrap(network)
    assert classifier.module is network
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(network.norm.running_mean, before)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(classifier.module(images).sum(), images)
    assert gradient.abs().sum() > 0


def test_wrapped_outputs_are_in_eval_mode_too():
    assert not any(module.training for module in wrap(Network(lambda scores: scores[:, 0])).module.modules())


def test_class_names():
    assert wrap(Network(outputs=2)).class_names == ["class 0", "class 1"]
    assert wrap(Network(outputs=1000)).class_names == list(IMAGENET_CLASSES)
    assert wrap(Network(outputs=2), class_names=("cat", "dog")).class_names == ["cat", "dog"]
    with pytest.raises(UsageError, match="2 class names for 5 outputs"):
        wrap(Network(), class_names=("cat", "dog"))


def test_preprocessing_is_overridden_field_by_field():
    classifier = wrap(Network(), multi_label=True)
    other = classifier.with_preprocessing(resize=[30, 40], crop=24, std=[1, 1, 1])
    assert other.preprocessing == Preprocessing((30, 40), (24, 24), mean=(0.5,) * 3, std=(1, 1, 1))
    assert other.module is classifier.module and other.multi_label
    assert classifier.preprocessing == PREPROCESSING
    assert classifier.with_preprocessing() == classifier


def test_an_override_that_the_network_cannot_take_is_refused():
    classifier = wrap(Network(lambda scores: scores[:, 0], outputs=1, fixed=True))
    assert classifier.with_preprocessing(resize=None).preprocessing.resize is None
    with pytest.raises(UsageError, match=r"data\.transform\.crop"):
        classifier.with_preprocessing(crop=(24, 24))
    with pytest.raises(UsageError, match="interpolation"):
        classifier.with_preprocessing(interpolation="sinc")
