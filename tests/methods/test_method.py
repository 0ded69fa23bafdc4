"""Properties of every method: the same maps in any chunk and batch, zeros for a constant network, clear errors."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pipeline.methods
from pipeline.data.preprocessing import Preprocessing
from pipeline.methods import IntegratedGradients, Method, Occlusion, Saliency
from pipeline.methods.method import image_seeds
from pipeline.view import View
from tests.methods.every_method import (
    COMPOSITES,
    EVERY_CLASS,
    EVERY_METHOD,
    METHODS,
    SIZE,
    TARGETS,
    assert_same,
    nested_evaluators,
)
from tests.networks import Recording, images, residual, small_vgg

PREPROCESSING = Preprocessing(None, SIZE, mean=(0.4,) * 3, std=(0.2,) * 3)


@EVERY_METHOD
@pytest.mark.parametrize("network", [small_vgg, residual])
def test_the_same_maps_in_chunks_of_any_size_and_alone(method: str, network: Callable[[], nn.Module]) -> None:
    model, batch = network().double(), images(5, *SIZE)
    expected = METHODS[method](model)(batch, TARGETS)  # finds its own chunk
    for size in (1, 2, 3, 4, 5, 6, 7, 19, 20, 64):
        assert_same(METHODS[method](model, internal_batch_size=size)(batch, TARGETS), expected)
    alone = METHODS[method](model)
    for image, target, map_ in zip(batch, TARGETS, expected, strict=True):
        assert_same(alone(image[None], target)[0], map_)
    order = torch.tensor([4, 0, 3, 2, 1])
    assert_same(alone(batch[order], torch.tensor(TARGETS)[order]), expected[order])


@EVERY_METHOD
def test_prepared_and_plain_are_the_same(method: str) -> None:
    model, batch = residual().double(), images(5, *SIZE)
    plain, prepared = (METHODS[method](View(model, prepare=prepare))(batch, TARGETS) for prepare in (False, True))
    assert_same(prepared, plain)


@pytest.mark.parametrize("method", ["ig", "occlusion"])
def test_growing_chunks_stay_exact(method: str) -> None:
    network, batch = Recording(small_vgg().double()), images(5, *SIZE)
    build, options = {
        "ig": (IntegratedGradients, {"n_steps": 40}),
        "occlusion": (Occlusion, {"sliding_window_shapes": (3, 9, 9), "strides": (3, 5, 9)}),
    }[method]
    expected = build(network, **options, internal_batch_size=7)(batch, 2)
    network.passes.clear()
    growing = build(network, **options)
    assert_same(growing(batch, 2), expected)
    assert len(set(network.passes[3:])) > 1  # it did try others
    assert_same(growing(batch, 2), expected)  # and continues with the size that it learned


@EVERY_METHOD
@pytest.mark.parametrize("reads", ["nothing", "nothing of the target"])
def test_a_network_that_does_not_depend_on_the_image_has_zero_maps(method: str, reads: str) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))

        def forward(self, points: Tensor) -> Tensor:
            values = self.values.expand(points.shape[0], -1)
            return values if reads == "nothing" else torch.cat((values[:, :1], points.mean((1, 2, 3))[:, None]), 1)

    maps = METHODS[method](Constant())(images(3, *SIZE), 0)
    assert maps.shape == (3, 3, *SIZE)
    assert not maps.any()


@EVERY_METHOD
@pytest.mark.parametrize("grad_mode", [torch.no_grad, torch.enable_grad])
def test_maps_carry_no_graph_in_any_mode(method: str, grad_mode: Callable[[], Any]) -> None:
    model, batch = small_vgg().double(), images(2, *SIZE)
    expected = METHODS[method](model)(batch, 0)
    with grad_mode():
        maps = METHODS[method](model)(batch, 0)
    assert not maps.requires_grad
    assert_same(maps, expected)


def test_noise_depends_on_the_image_and_the_seed_alone() -> None:
    view, batch = View(small_vgg().double(), preprocessing=PREPROCESSING), images(5, *SIZE)
    method = IntegratedGradients(view, n_steps=2, baselines="noise")
    assert torch.equal(method(batch, 1), method(batch, 1))
    assert_same(method(batch[:3], 1), method(batch, 1)[:3])
    assert not torch.equal(method(batch, 1, seed=1), method(batch, 1))


def test_seeds() -> None:
    seeds = image_seeds(0, range(1000))
    assert seeds.dtype == torch.int64 and seeds.min() >= 0
    assert len(seeds.unique()) == 1000
    assert torch.equal(image_seeds(0, [7, 3]), seeds[[7, 3]])
    assert not set(image_seeds(1, range(1000)).tolist()) & set(seeds.tolist())
    assert image_seeds(0, []).shape == (0,)


@pytest.mark.parametrize("outputs", ["(N,)", "(N, 1)"])
def test_a_model_of_one_output_needs_no_target(outputs: str) -> None:
    last: list[nn.Module] = [nn.Linear(10, 1), *([nn.Flatten(0)] if outputs == "(N,)" else [])]
    model, batch = nn.Sequential(small_vgg(), *last).double(), images(3, *SIZE)
    assert_same(Saliency(model)(batch), Saliency(model)(batch, 0))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (None, "target: the model has 10 outputs"),
        (10, "target: classes go from 0 to 9, got 10"),
        (-1, "target: classes go from 0 to 9, got -1"),
        ([0, 1, 10], "target: classes go from 0 to 9"),
        ([0, 1], "target: expected an integer or 3 of them, got [0, 1]"),
        (torch.zeros(4, dtype=torch.int64), "target: expected an integer or 3 of them"),
        (1.5, "target: expected an integer or 3 of them, got 1.5"),
        ([], "target: expected an integer or 3 of them, got []"),
    ],
)
def test_wrong_targets(target: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Saliency(small_vgg())(images(3, *SIZE, torch.float32), target)


@pytest.mark.parametrize("shape", [(3, 40, 56), (0, 3, 40, 56)])
def test_wrong_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"images must be (N, C, H, W), not {shape}")):
        Saliency(small_vgg())(torch.zeros(shape), 0)


def test_there_is_one_of_every_class() -> None:
    classes = (getattr(pipeline.methods, name) for name in pipeline.methods.__all__)
    assert {one.__name__ for one in classes if issubclass(one, Method)} - {"Method"} == EVERY_CLASS.keys()
    composites = {name for name, build in EVERY_CLASS.items() if len(nested_evaluators(build(small_vgg()))) > 2}
    assert composites == {name.split()[0] for name in COMPOSITES}


@pytest.mark.parametrize("name", [*EVERY_CLASS, "NoiseTunnel of GuidedGradCam"])
def test_the_evaluators_of_nested_methods_are_listed_once_and_its_own_first(name: str) -> None:
    names = []
    for _ in range(2):
        method = (EVERY_CLASS | COMPOSITES)[name](small_vgg())
        name_of = {id(evaluator): name for name, evaluator in nested_evaluators(method).items()}
        names.append([name_of.pop(id(evaluator)) for evaluator in method.chunked_evaluators()])
        assert not name_of
        assert names[-1][:2] == ["evaluator", "_image_evaluator"]
    assert names[0] == names[1]


def test_the_order_of_the_evaluators_of_a_noise_tunnel_around_guided_grad_cam() -> None:
    """A run's chunk sizes are stored in this order."""
    tunnel = COMPOSITES["NoiseTunnel of GuidedGradCam"](small_vgg())
    name_of = {id(evaluator): name for name, evaluator in nested_evaluators(tunnel).items()}
    assert [name_of[id(evaluator)] for evaluator in tunnel.chunked_evaluators()] == [
        f"{owner}{own}"
        for owner in ("", "method.", "method.guided.", "method.cam.")
        for own in ("evaluator", "_image_evaluator")
    ]


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_check_that_raises_stops_the_forward_passes_of_nested_methods(name: str) -> None:
    """Whichever call of the check raises: the passes before it have run, and no other."""
    network, batch = small_vgg(), images(2, *SIZE, torch.float32)
    events: list[str] = []

    def record(_module: nn.Module, points: tuple[Tensor]) -> None:
        if points[0].any():  # a blank image tells the shape of maps, without a check
            events.append("forward pass")

    network.register_forward_pre_hook(record)
    method = COMPOSITES[name](network, internal_batch_size=1)

    def run(raise_at: int) -> list[str]:
        def check() -> None:
            events.append("check")
            if events.count("check") == raise_at:
                raise InterruptedError

        events.clear()
        method.on_chunk(check)
        method.explain(batch, torch.tensor([[1], [7]]), scores=torch.zeros(2, 1), seeds=image_seeds(0, [0, 1]))
        return list(events)

    unbroken = run(raise_at=0)
    calls = [place for place, event in enumerate(unbroken) if event == "check"]
    assert all(unbroken[place - 1] == "check" for place, event in enumerate(unbroken) if event == "forward pass")
    for number, place in enumerate(calls, 1):
        with pytest.raises(InterruptedError):
            run(raise_at=number)
        assert events == unbroken[: place + 1]
