"""Out of memory, values that are not finite, errors: other maps are right, and the user's model is unchanged."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.method import image_seeds
from tests.methods.every_method import EVERY_METHOD, METHODS, SIZE, TARGETS, assert_same
from tests.networks import Recording, images, residual, small_vgg


@EVERY_METHOD
def test_out_of_memory_halves_the_chunk_and_adds_nothing_twice(method: str) -> None:
    model, batch = small_vgg().double(), images(5, *SIZE)
    expected = METHODS[method](model)(batch, TARGETS)
    network = Recording(model, fits=3)
    short = METHODS[method](network, internal_batch_size=16)
    assert_same(short(batch, TARGETS), expected)
    assert network.passes[:6] == [5, 5, 4, 2, 2, 1]  # 16 and 8 take all five images
    assert short.evaluator.size == 2
    network.passes.clear()
    assert_same(short(batch, TARGETS), expected)
    assert max(network.passes) <= 2  # it remembers


class FailsBackward(torch.autograd.Function):
    """Runs out of memory in the backward pass for more than three points."""

    @staticmethod
    def forward(_context: Any, points: Tensor) -> Tensor:
        return points.clone()

    @staticmethod
    def backward(_context: Any, gradients: Tensor) -> Tensor:  # type: ignore[override]
        if len(gradients) > 3:
            raise torch.OutOfMemoryError("this network's own limit")
        return gradients


@pytest.mark.parametrize("method", ["saliency", "ig"])
@pytest.mark.parametrize("columns", [1, 2])
def test_out_of_memory_in_the_backward_pass(method: str, columns: int) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = small_vgg().double()

        def forward(self, points: Tensor) -> Tensor:
            return FailsBackward.apply(self.network(points))

    batch, targets = images(5, *SIZE), torch.tensor([TARGETS, TARGETS[::-1]]).T[:, :columns]
    maps = []
    for model in (small_vgg().double(), Network()):
        built = METHODS[method](model, internal_batch_size=12)
        scores = built.logits(batch).gather(1, targets)
        maps.append(built.explain(batch, targets, scores=scores, seeds=image_seeds(0, range(5))).maps)
    assert built.evaluator.size == 3
    assert_same(maps[1], maps[0])


@EVERY_METHOD
def test_not_even_one_point_fits(method: str) -> None:
    with pytest.raises(MemoryError, match="not even one point fits"):
        METHODS[method](Recording(small_vgg(), fits=0))(images(2, *SIZE, torch.float32), 0)


@pytest.mark.parametrize("method", ["saliency", "input x gradient", "ig"])
def test_a_gradient_that_is_not_finite_stays_with_its_image(method: str) -> None:
    class Root(nn.Module):
        """Its slope at an empty image is 0 times infinity."""

        def __init__(self) -> None:
            super().__init__()
            self.network = small_vgg().double()

        def forward(self, points: Tensor) -> Tensor:
            return self.network(points) + points.square().sum((1, 2, 3)).sqrt()[:, None]

    batch = images(5, *SIZE)
    batch[2] = 0
    maps = METHODS[method](Root(), internal_batch_size=64)(batch, TARGETS)
    others = [0, 1, 3, 4]
    assert not maps[2].isfinite().all()
    expected = METHODS[method](Root())(batch[others], torch.tensor(TARGETS)[others])
    assert expected.isfinite().all()
    assert_same(maps[others], expected)


@EVERY_METHOD
def test_an_image_that_is_not_finite_stays_alone(method: str) -> None:
    batch = images(5, *SIZE)
    batch[2, 1, 7, 9] = torch.nan
    others, built = [0, 1, 3, 4], METHODS[method](residual().double(), internal_batch_size=64)
    assert_same(built(batch, TARGETS)[others], built(batch[others], torch.tensor(TARGETS)[others]))


def state_of(model: nn.Module) -> list[object]:
    """All that a caller may rely on."""
    state: list[object] = []
    for name, module in model.named_modules():
        hooks = [module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks]
        state.append((name, id(module), type(module), module.training, [list(each.items()) for each in hooks]))
        state.append({key: value for key, value in vars(module).items() if key in ("inplace", "forward")})
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest = hashlib.sha256(tensor.detach().numpy().tobytes()).hexdigest()
        state.append((name, id(tensor), tensor.requires_grad, tensor.grad, tensor.stride(), digest))
    return state


@EVERY_METHOD
@pytest.mark.parametrize("network", [small_vgg, residual])
@pytest.mark.parametrize("hooked", [False, True])
def test_the_model_and_the_images_are_left_unchanged(
    method: str, network: Callable[[], nn.Module], hooked: bool
) -> None:
    model, batch = network().double(), images(5, *SIZE)
    next(model.parameters()).requires_grad_(False)
    if hooked:
        model.register_forward_hook(lambda *_: None)
    before, pixels = state_of(model), batch.clone()
    METHODS[method](model)(batch, TARGETS)
    METHODS[method](Recording(model, fits=2), internal_batch_size=4)(batch, TARGETS)
    assert state_of(model) == before
    assert torch.equal(batch, pixels) and not batch.requires_grad and batch.grad is None


@EVERY_METHOD
def test_the_model_is_left_unchanged_when_it_fails(method: str) -> None:
    model = Recording(small_vgg(), fits=0)
    before = state_of(model)
    with pytest.raises(MemoryError):
        METHODS[method](model)(images(2, *SIZE, torch.float32), 0)
    assert state_of(model) == before
