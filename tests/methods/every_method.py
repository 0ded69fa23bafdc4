"""Methods around a small network: five for expensive tests, one of every class, and composites of others."""

from collections.abc import Callable

import pytest
from torch import Tensor

from pipeline import methods
from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.methods import InputXGradient, IntegratedGradients, Method, Occlusion, Saliency
from pipeline.view import LayerView

SIZE = (40, 56)  # height, width: not square, so that a swapped axis shows
TARGETS = [3, 1, 4, 1, 9]
METHODS: dict[str, Callable[..., Method]] = {
    "saliency": Saliency,
    "input x gradient": InputXGradient,
    "ig": lambda model, **options: IntegratedGradients(model, n_steps=4, **options),
    "ig of the mean": lambda model, **options: IntegratedGradients(model, n_steps=3, baselines="mean", **options),
    "occlusion": lambda model, **options: Occlusion(
        model, sliding_window_shapes=(3, 15, 25), strides=(3, 13, 20), baselines="blur", **options
    ),
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
LAYER = "3"  # of tests.networks.small_vgg
EVERY_CLASS: dict[str, Callable[..., Method]] = {
    "Activation": lambda model, **options: methods.Activation(LayerView(model, layer=LAYER), **options),
    "Conductance": lambda model, **options: methods.Conductance(LayerView(model, layer=LAYER), n_steps=2, **options),
    "Deconvolution": methods.Deconvolution,
    "DeepLift": methods.DeepLift,
    "DeepLiftShap": lambda model, **options: methods.DeepLiftShap(model, baselines=[0, "blur"], **options),
    "FeatureAblation": lambda model, **options: methods.FeatureAblation(model, n_segments=4, **options),
    "GradCamPlusPlus": lambda model, **options: methods.GradCamPlusPlus(model, layer=LAYER, **options),
    "GradientShap": lambda model, **options: methods.GradientShap(model, baselines=[0, "blur"], n_samples=2, **options),
    "GuidedBackprop": methods.GuidedBackprop,
    "GuidedGradCam": lambda model, **options: methods.GuidedGradCam(model, layer=LAYER, **options),
    "InputXGradient": InputXGradient,
    "IntegratedGradients": lambda model, **options: IntegratedGradients(model, n_steps=2, **options),
    "InternalInfluence": lambda model, **options: methods.InternalInfluence(
        LayerView(model, layer=LAYER), n_steps=2, **options
    ),
    "LRP": methods.LRP,
    "LayerGradCam": lambda model, **options: methods.LayerGradCam(model, layer=LAYER, **options),
    "NoiseTunnel": lambda model, **options: methods.NoiseTunnel(Saliency(model, **options), nt_samples=2, **options),
    "Occlusion": METHODS["occlusion"],
    "Rise": lambda model, **options: methods.Rise(model, n_masks=3, **options),
    "Saliency": Saliency,
    "ScoreCam": lambda model, **options: methods.ScoreCam(model, layer=LAYER, **options),
}
"""Each class of :mod:`pipeline.methods`, around a network whose layer ``3`` is a convolution."""
COMPOSITES: dict[str, Callable[..., Method]] = {
    "GuidedGradCam": EVERY_CLASS["GuidedGradCam"],
    "NoiseTunnel of Saliency": EVERY_CLASS["NoiseTunnel"],
    "NoiseTunnel of GuidedGradCam": lambda model, **options: methods.NoiseTunnel(
        EVERY_CLASS["GuidedGradCam"](model, **options), nt_samples=2, **options
    ),
}
"""Methods that are made of other methods."""


def assert_same(maps: Tensor, expected: Tensor) -> None:
    assert (maps - expected).abs().max() <= 1e-9 * expected.abs().max()


def nested_evaluators(method: Method) -> dict[str, ChunkedEvaluator]:
    """Every evaluator in the attributes of a method and of the methods nested in it, by dotted name; containers too.

    An independent road to :meth:`~pipeline.methods.Method.chunked_evaluators`, which a list of methods does not escape.
    """
    evaluators: dict[str, ChunkedEvaluator] = {}

    def visit(name: str, value: object) -> None:
        if isinstance(value, ChunkedEvaluator):
            evaluators[name] = value
        elif isinstance(value, Method):
            for attribute, part in vars(value).items():
                visit(f"{name}.{attribute}".lstrip("."), part)
        elif isinstance(value, list | tuple | dict):
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                visit(f"{name}[{key}]", part)

    visit("", method)
    return evaluators
