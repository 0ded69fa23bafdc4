"""A row for every method: the same map here and by Captum."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import captum.attr
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline import methods
from pipeline.methods import Method
from pipeline.view import LayerView, View
from tests.methods import reference
from tests.methods.zoo import ZOO, Kind, network, photographs

STEPS, SHAP, TUNNEL = {"n_steps": 3}, {"n_samples": 2, "stdevs": 0.1}, {"nt_samples": 2, "stdevs": 0.1}
"""Few, because what is compared is the sum and not its limit."""


@dataclass(frozen=True)
class Case:
    """A network of the zoo with some photographs.

    Attributes:
        kind: Of the network.
        model: The network, or a view of it.
        captum_model: The network in a form that Captum explains: it returns a tensor.
        images: (N, C, H, W).
    """

    kind: Kind
    model: nn.Module | View
    captum_model: nn.Module
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
        return photographs(*self.images.shape[2:])[-2:].flip(3).to(self.images) / 2

    @property
    def module(self) -> nn.Module:
        return self.model.model if isinstance(self.model, View) else self.model

    @property
    def layer(self) -> nn.Module:
        return self.module.get_submodule(self.kind.layer)

    @property
    def view(self) -> LayerView:
        return LayerView(self.module, layer=self.kind.layer)

    def spelled(self) -> nn.Module:
        return _spelled(self.captum_model)

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
    return guided * case.enlarged(reference.cam(case.captum_model, case.kind, case.layer, case.images, target).relu())


def rectifies(kind: Kind) -> bool:
    return kind.rectifies


def without_products(kind: Kind) -> bool:
    """Captum's DeepLift has a rule for every operation; for other networks test_properties.py tests completeness."""
    return not kind.products


@dataclass(frozen=True)
class Row:
    """A method here and in Captum.

    Attributes:
        ours: The method around a case's network, with more options.
        captums: Captum's maps of a case for one target an image (N,).
        holds: True for kinds of network that Captum explains rightly.
    """

    ours: Callable[..., Method]
    captums: Callable[[Case, Tensor], Tensor]
    holds: Callable[[Kind], bool] = lambda kind: True


ROWS = {
    "Saliency": Row(
        lambda case, **options: methods.Saliency(case.model, **options),
        lambda case, target: captum.attr.Saliency(case.captum_model).attribute(case.images, target),
    ),
    "InputXGradient": Row(
        lambda case, **options: methods.InputXGradient(case.model, **options),
        lambda case, target: captum.attr.InputXGradient(case.captum_model).attribute(case.images, target),
    ),
    "IntegratedGradients": Row(
        lambda case, **options: methods.IntegratedGradients(
            case.model, baselines=case.baselines[:1], **STEPS, **options
        ),
        lambda case, target: captum.attr.IntegratedGradients(case.captum_model).attribute(
            case.images, case.baselines[:1].expand_as(case.images), target, **STEPS
        ),
    ),
    "Occlusion": Row(
        lambda case, **options: methods.Occlusion(
            case.model, sliding_window_shapes=case.window[0], strides=case.window[1], **options
        ),
        lambda case, target: captum.attr.Occlusion(case.captum_model).attribute(
            case.images, *case.window, target=target
        ),
    ),
    "FeatureAblation": Row(
        lambda case, **options: methods.FeatureAblation(case.model, feature_mask=case.mask, baselines=0.5, **options),
        lambda case, target: captum.attr.FeatureAblation(case.captum_model).attribute(
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
        lambda case, target: case.enlarged(
            reference.cam(case.captum_model, case.kind, case.layer, case.images, target)
        ),
    ),
    "GradCamPlusPlus": Row(
        lambda case, **options: methods.GradCamPlusPlus(
            case.model, layer=case.kind.layer, relu_attributions=False, **options
        ),
        lambda case, target: case.enlarged(
            reference.cam_plus_plus(case.captum_model, case.kind, case.layer, case.images, target)
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
        lambda case, target: reference.gradient_shap(
            case.captum_model, case.images, target, baselines=case.baselines, **SHAP
        ),
    ),
    "Activation": Row(
        lambda case, **options: methods.Activation(case.view, **options),
        lambda case, target: captum.attr.LayerActivation(case.captum_model, case.layer).attribute(case.images),
    ),
    "Conductance": Row(
        lambda case, **options: methods.Conductance(case.view, **STEPS, **options),
        lambda case, target: captum.attr.LayerConductance(case.captum_model, case.layer).attribute(
            case.images, 0, target, **STEPS
        ),
    ),
    "InternalInfluence": Row(
        lambda case, **options: methods.InternalInfluence(case.view, **STEPS, **options),
        lambda case, target: captum.attr.InternalInfluence(case.captum_model, case.layer).attribute(
            case.images, 0, target, **STEPS
        ),
    ),
    "NoiseTunnel": Row(
        lambda case, **options: methods.NoiseTunnel(methods.Saliency(case.model, **options), **TUNNEL, **options),
        lambda case, target: reference.noise_tunnel(case.captum_model, case.images, target, **TUNNEL),
    ),
}


ELSEWHERE = {"LRP": "test_lrp.py", "Rise": "test_rise.py", "ScoreCam": "test_score_cam.py"}
"""Methods that Captum 0.9 lacks, or has for few networks only, and the files that compare them with another oracle."""


def case_of(name: str, count: int) -> Case:
    model, kind = network(name), ZOO[name]
    captum_model = _returning_a_tensor(model) if name == "hugging_face" else model
    return Case(kind, model, captum_model, photographs(*kind.size)[:count])


@lru_cache(maxsize=1)
def _returning_a_tensor(model: nn.Module) -> nn.Module:
    return reference.Logits(model)
