import pytest
import torch
from torch import nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models.classifier import Classifier
from tests.models.channel_scores import Network

PREPROCESSING = Preprocessing(20, (16, 16), mean=(0.5,) * 3, std=(0.25,) * 3)


def wrap(network: nn.Module, **options) -> Classifier:
    return Classifier.wrap(network, "net", **{"preprocessing": PREPROCESSING} | options)


def test_a_crop_that_the_network_does_not_take_names_the_option():
    with pytest.raises(UsageError, match=r"16 x 24 pixels \(expected 16 x 16\): set data\.transform\.crop") as refusal:
        wrap(Network(fixed=True), preprocessing=Preprocessing(None, (16, 24), mean=(0.5,) * 3, std=(0.5,) * 3))
    assert "\n" not in str(refusal.value)


def test_the_network_is_frozen_in_place_and_never_evaluated_in_training_mode():
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


def test_there_is_one_class_name_an_output():
    assert wrap(Network(outputs=2)).class_names == ["class 0", "class 1"]
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


def test_an_override_that_the_network_does_not_take_is_refused():
    classifier = wrap(Network(lambda scores: scores[:, 0], outputs=1, fixed=True))
    assert classifier.with_preprocessing(resize=None).preprocessing.resize is None
    with pytest.raises(UsageError, match=r"data\.transform\.crop"):
        classifier.with_preprocessing(crop=(24, 24))
    with pytest.raises(UsageError, match="interpolation"):
        classifier.with_preprocessing(interpolation="sinc")


def test_a_network_without_values_is_refused():
    with pytest.raises(UsageError, match=r"net: its layer 1 \(LazyLinear\) is lazy"):
        wrap(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))
