"""Every method on every kind of network, for every form of target, against Captum: float64, 1e-6 of the maximum."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import captum.attr
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import pipeline.methods
from pipeline import methods
from pipeline.methods import Method
from pipeline.methods.method import image_seeds
from pipeline.view import LayerView
from tests.methods import reference
from tests.methods.zoo import ZOO, Kind, network, photographs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks"),  # Captum's
    pytest.mark.filterwarnings("ignore:Input Tensor"),
]
STEPS, SHAP, TUNNEL = {"n_steps": 3}, {"n_samples": 2, "stdevs": 0.1}, {"nt_samples": 2, "stdevs": 0.1}
"""Few, because what is compared is the sum and not its limit."""


@dataclass(frozen=True)
class Case:
    """A network of the zoo with some photographs.

    Attributes:
        kind: Of the network.
        model: As it is.
        asked: As Captum can be asked: it returns a tensor.
        images: (N, C, H, W).
    """

    kind: Kind
    model: nn.Module
    asked: nn.Module
    images: Tensor

    @property
    def window(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Window and strides: 3 x 3 windows, the last of each row cut off by the border."""
        height, width = self.images.shape[2:]
        return (3, height // 2, width // 2), (3, height // 3, width // 3)

    @property
    def mask(self) -> Tensor:
        """Six features, (1, 1, H, W)."""
        height, width = self.images.shape[2:]
        return (3 * torch.arange(height)[:, None] // height * 2 + 2 * torch.arange(width) // width)[None, None]

    @property
    def baselines(self) -> Tensor:
        """Two, (2, C, H, W)."""
        return photographs(*self.images.shape[2:])[-2:].flip(3) / 2

    @property
    def layer(self) -> nn.Module:
        return self.model.get_submodule(self.kind.layer)

    @property
    def view(self) -> LayerView:
        return LayerView(self.model, layer=self.kind.layer)

    def spelled(self) -> nn.Module:
        return _spelled(self.asked)

    def enlarged(self, maps: Tensor) -> Tensor:
        """(N, 1, h, w), on a layer's grid -> (N, 1, H, W)."""
        return functional.interpolate(maps, self.images.shape[2:])


@lru_cache(maxsize=1)
def _spelled(model: nn.Module) -> nn.Module:
    return reference.spelled(model)


def deep_lift(case: Case, target: Tensor, explainer: Any, baselines: Tensor) -> Tensor:
    with reference.rule_for_clipped():
        return explainer(case.spelled()).attribute(case.images.clone(), baselines, target=target)


def guided_grad_cam(case: Case, target: Tensor) -> Tensor:
    guided = captum.attr.GuidedBackprop(case.spelled()).attribute(case.images, target)
    return guided * case.enlarged(reference.cam(case.asked, case.kind, case.layer, case.images, target).relu())


def rectifies(kind: Kind) -> bool:
    return kind.rectifies


def without_products(kind: Kind) -> bool:
    """Captum's DeepLift has a rule for all that happens; elsewhere completeness is the road (test_completeness.py)."""
    return not kind.products


@dataclass(frozen=True)
class Row:
    """A method here and in Captum.

    Attributes:
        ours: The method around a case's network, with more options.
        captums: Captum's maps of a case for one target an image (N,).
        holds: Which kinds of network Captum can be asked about.
    """

    ours: Callable[..., Method]
    captums: Callable[[Case, Tensor], Tensor]
    holds: Callable[[Kind], bool] = lambda kind: True


ROWS = {
    "Saliency": Row(
        lambda case, **options: methods.Saliency(case.model, **options),
        lambda case, target: captum.attr.Saliency(case.asked).attribute(case.images, target),
    ),
    "InputXGradient": Row(
        lambda case, **options: methods.InputXGradient(case.model, **options),
        lambda case, target: captum.attr.InputXGradient(case.asked).attribute(case.images, target),
    ),
    "IntegratedGradients": Row(
        lambda case, **options: methods.IntegratedGradients(
            case.model, baselines=case.baselines[:1], **STEPS, **options
        ),
        lambda case, target: captum.attr.IntegratedGradients(case.asked).attribute(
            case.images, case.baselines[:1].expand_as(case.images), target, **STEPS
        ),
    ),
    "Occlusion": Row(
        lambda case, **options: methods.Occlusion(
            case.model, sliding_window_shapes=case.window[0], strides=case.window[1], **options
        ),
        lambda case, target: captum.attr.Occlusion(case.asked).attribute(case.images, *case.window, target=target),
    ),
    "FeatureAblation": Row(
        lambda case, **options: methods.FeatureAblation(case.model, feature_mask=case.mask, baselines=0.5, **options),
        lambda case, target: captum.attr.FeatureAblation(case.asked).attribute(
            case.images, 0.5, target, feature_mask=case.mask
        ),
    ),
    "Deconvolution": Row(
        lambda case, **options: methods.Deconvolution(case.model, **options),
        lambda case, target: captum.attr.Deconvolution(case.spelled()).attribute(case.images, target),
        rectifies,
    ),
    "GuidedBackprop": Row(
        lambda case, **options: methods.GuidedBackprop(case.model, **options),
        lambda case, target: captum.attr.GuidedBackprop(case.spelled()).attribute(case.images, target),
        rectifies,
    ),
    "LayerGradCam": Row(
        lambda case, **options: methods.LayerGradCam(case.model, layer=case.kind.layer, **options),
        lambda case, target: case.enlarged(reference.cam(case.asked, case.kind, case.layer, case.images, target)),
    ),
    "GradCamPlusPlus": Row(
        lambda case, **options: methods.GradCamPlusPlus(case.model, layer=case.kind.layer, **options),
        lambda case, target: case.enlarged(
            reference.cam_plus_plus(case.asked, case.kind, case.layer, case.images, target)
        ),
    ),
    "GuidedGradCam": Row(
        lambda case, **options: methods.GuidedGradCam(case.model, layer=case.kind.layer, **options),
        guided_grad_cam,
        rectifies,
    ),
    "DeepLift": Row(
        lambda case, **options: methods.DeepLift(case.model, baselines=case.baselines[:1], **options),
        lambda case, target: deep_lift(case, target, captum.attr.DeepLift, case.baselines[:1].expand_as(case.images)),
        without_products,
    ),
    "DeepLiftShap": Row(
        lambda case, **options: methods.DeepLiftShap(case.model, baselines=case.baselines, **options),
        lambda case, target: deep_lift(case, target, captum.attr.DeepLiftShap, case.baselines),
        without_products,
    ),
    "GradientShap": Row(
        lambda case, **options: methods.GradientShap(case.model, baselines=case.baselines, **SHAP, **options),
        lambda case, target: reference.gradient_shap(case.asked, case.images, target, baselines=case.baselines, **SHAP),
    ),
    "Activation": Row(
        lambda case, **options: methods.Activation(case.view, **options),
        lambda case, target: captum.attr.LayerActivation(case.asked, case.layer).attribute(case.images),
    ),
    "Conductance": Row(
        lambda case, **options: methods.Conductance(case.view, **STEPS, **options),
        lambda case, target: captum.attr.LayerConductance(case.asked, case.layer).attribute(
            case.images, 0, target, **STEPS
        ),
    ),
    "InternalInfluence": Row(
        lambda case, **options: methods.InternalInfluence(case.view, **STEPS, **options),
        lambda case, target: captum.attr.InternalInfluence(case.asked, case.layer).attribute(
            case.images, 0, target, **STEPS
        ),
    ),
    "NoiseTunnel": Row(
        lambda case, **options: methods.NoiseTunnel(methods.Saliency(case.model, **options), **TUNNEL, **options),
        lambda case, target: reference.noise_tunnel(case.asked, case.images, target, **TUNNEL),
    ),
}

FORMS: list[tuple[int, Any]] = [(1, 7), (3, torch.tensor([3, 1, 4])), (1, [5]), (3, 2), (1, [[3, 5]]), (3, [9, 0, 2])]
"""Images and target; [[3, 5]] is two targets for an image, as the pipeline asks for target=top2."""
CELLS = [
    (name, method, FORMS[(place + 5 * number) % len(FORMS)])
    for number, name in enumerate(ZOO)
    for place, (method, row) in enumerate(ROWS.items())
    if row.holds(ZOO[name])
]


def case_of(name: str, count: int) -> Case:
    model, kind = network(name), ZOO[name]
    return Case(kind, model, _asked(model) if name == "hugging_face" else model, photographs(*kind.size)[:count])


@lru_cache(maxsize=1)
def _asked(model: nn.Module) -> nn.Module:
    return reference.Logits(model)


def of_several_targets(method: Method, images: Tensor, targets: Tensor) -> Tensor:
    """(N, T, C, H, W), as the pipeline asks."""
    scores = method.scores(images, targets)
    answer = method.explain(images, targets, scores=scores, seeds=image_seeds(0, range(len(images))))
    channels, height, width = images.shape[1:]
    return method.geometry((channels, height, width)).expand(answer.maps.flatten(0, 1)).unflatten(0, targets.shape)


@pytest.mark.parametrize(("name", "method", "form"), CELLS, ids=[f"{name}-{method}" for name, method, _ in CELLS])
def test_equals_captum(name: str, method: str, form: tuple[int, Any]) -> None:
    (count, target), row = form, ROWS[method]
    case = case_of(name, count)
    targets = torch.as_tensor(target).reshape(1 if isinstance(target, int) else count, -1).expand(count, -1)
    found = (
        of_several_targets(row.ours(case), case.images, targets)
        if targets.shape[1] > 1
        else row.ours(case)(case.images, target)[:, None]
    )
    for column, several in enumerate(targets.T):
        expected = row.captums(case, several).detach()
        assert found[:, column].shape == expected.shape
        assert expected.abs().max() > 0
        assert (found[:, column] - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_every_method_has_a_row() -> None:
    named = [getattr(pipeline.methods, name) for name in pipeline.methods.__all__]
    ours = {thing.__name__ for thing in named if isinstance(thing, type) and issubclass(thing, Method)} - {"Method"}
    assert ours == ROWS.keys(), f"tests/methods/test_oracle.py needs a row for {ours ^ ROWS.keys()}"


def test_every_method_meets_every_form_of_the_target() -> None:
    met = {(method, str(form)) for _, method, form in CELLS}
    assert met == set(itertools.product(ROWS, map(str, FORMS)))
