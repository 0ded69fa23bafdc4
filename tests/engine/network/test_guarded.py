"""Whatever a network does, values and gradients are its own, and it is left unchanged."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pipeline.engine.incremental.occluded_network import OccludedNetwork
from pipeline.engine.network.cut import CutNetwork
from pipeline.engine.network.equivalence import NotEquivalent
from pipeline.engine.network.guarded import MOST_COPIES, GuardedCopy
from pipeline.engine.network.prepared import FastNetwork
from pipeline.view import LayerView, NeuronView, View
from tests.engine.network import unusual

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
ALL = unusual.COPIED | {name: build for name, (build, _) in unusual.REFUSED.items()}
BOXES = torch.tensor([[0, 0, 5, 5], [0, 11, 5, 16], [6, 4, 11, 9], [11, 11, 16, 16]])


def points(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def as_logits(network: nn.Module, images: Tensor) -> Tensor:
    outputs = network(images)
    return outputs if isinstance(outputs, Tensor) else outputs.logits


def gradient(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the gradient of output 1 with respect to the images."""
    images = images.clone().requires_grad_()
    return torch.autograd.grad(function(images.clone())[:, 1].sum(), images)[0]


@pytest.mark.parametrize("name", unusual.COPIED)
def test_has_an_equivalent_copy(name: str, caplog: pytest.LogCaptureFixture) -> None:
    network, images = unusual.built(unusual.COPIED[name]), points()
    with caplog.at_level(logging.INFO):
        fast = FastNetwork(network)
        assert fast.prepared(images) is not None
    assert not caplog.messages
    torch.testing.assert_close(fast(images.clone()), network(images.clone()), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient(fast, images), gradient(network, images), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", unusual.REFUSED)
def test_has_no_copy_and_one_line_says_why(name: str, caplog: pytest.LogCaptureFixture) -> None:
    build, words = unusual.REFUSED[name]
    network, images = unusual.built(build), points()
    fast = FastNetwork(network)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert fast.prepared(images) is None
    (line,) = caplog.messages
    assert line.startswith("the network is evaluated without a faster copy: ") and re.search(words, line), line


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_pixels_are_the_networks_own(name: str) -> None:
    network, images = unusual.built(ALL[name]), points()
    view = View(network, prepare=True)
    for rows in images.split(1 if name == "batch statistics" else 3):
        expected = gradient(lambda inputs: as_logits(network, inputs), rows)
        found = view.gradients(rows, torch.ones(len(rows), 1, dtype=torch.int64)).gradients[:, 0]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"scripted"}))  # which has no modules with hooks
def test_gradients_at_a_layer_and_of_a_neuron_are_the_networks_own(name: str) -> None:
    network, image = unusual.built(ALL[name]), points(1)
    layer = LayerView(network, layer="first", prepare=True)
    neuron = NeuronView(network, layer="second", neuron=[2, 3, 4], prepare=True)
    found = [view.gradients(image, torch.zeros(1, 1, dtype=torch.int64)).gradients[:, 0] for view in (layer, neuron)]
    values: list[Tensor] = []
    for module in (network.first, network.second):
        module.register_forward_hook(lambda _module, _inputs, output: values.append(output))
    leaf = image.clone().requires_grad_()
    logit = as_logits(network, leaf.clone())[0, 0]
    (at_layer,) = torch.autograd.grad(logit, values[0], retain_graph=True)
    (of_neuron,) = torch.autograd.grad(values[1][0, 2, 3, 4], leaf)
    torch.testing.assert_close(found[0], at_layer, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(found[1], of_neuron, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_occluded_images_have_the_networks_own_outputs(name: str) -> None:
    network, images = unusual.built(ALL[name]), points(2)
    evaluator = OccludedNetwork(network, "auto").incremental(images, torch.zeros_like(images), BOXES, None)
    computed = {"spectral norm", "weight norm"}  # of its first layer, which is then not known to be local
    assert (evaluator is not None) == (name in {*unusual.COPIED, "no_grad gate", "straight through"} - computed)
    if evaluator is None:
        return
    found = evaluator.values(images, torch.zeros_like(images), BOXES)
    for number, (top, left, bottom, right) in enumerate(BOXES.tolist()):
        occluded = images.clone()
        occluded[:, :, top:bottom, left:right] = 0
        torch.testing.assert_close(found[:, number], as_logits(network, occluded), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"counts its runs"}))
def test_leaves_no_trace(name: str) -> None:
    network, images = unusual.built(ALL[name]), points()
    before = [
        (value, value._version, value.clone(), value.requires_grad)
        for value in network.state_dict(keep_vars=True).values()
    ]
    modes = [module.training for module in network.modules()]
    generator, pixels = torch.get_rng_state(), images.clone()
    with torch.inference_mode():
        FastNetwork(network).prepared(images)
        if name != "scripted":  # whose layers cannot be reached
            CutNetwork(network, "first", prepare=True).of(images)
    with torch.enable_grad():
        FastNetwork(network).prepared(images)
    after = list(network.state_dict(keep_vars=True).values())
    for (value, version, copy, requires_grad), now in zip(before, after, strict=True):
        assert value is now and value._version == version and torch.equal(value, copy)
        assert value.requires_grad == requires_grad and value.grad is None
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator) and torch.equal(images, pixels)


def test_random_draws_of_a_network_are_its_own() -> None:
    network, images = unusual.built(unusual.DropsAlways), points()
    fast = FastNetwork(network)
    torch.manual_seed(3)
    expected = network(images)
    torch.manual_seed(3)
    assert torch.equal(fast(images), expected) and fast.prepared(images) is None


def test_a_copy_that_was_built_in_inference_mode_gives_gradients() -> None:
    network, images = unusual.built(unusual.Base), points()
    fast = FastNetwork(network)
    with torch.inference_mode():
        assert fast.prepared(images) is not None
    torch.testing.assert_close(gradient(fast, images), gradient(network, images), rtol=1e-9, atol=1e-10)


def test_a_mode_of_the_caller_does_not_see_the_comparison() -> None:
    class Recorded(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls += 1
            return func(*args, **(kwargs or {}))

    network, images = unusual.built(unusual.Base), points()
    fast = FastNetwork(network)
    with Recorded() as mode:
        assert fast.prepared(images) is not None
        before = mode.calls
        assert fast.prepared(images) is not None
        again = mode.calls - before
        assert before <= 2 * again  # what finds a copy looks at shapes and versions, each time
        images.relu()
        assert mode.calls > before + again


class Built:
    """A copy that is the network itself, and the number of times that it was built."""

    def __init__(self, network: nn.Module) -> None:
        self.guarded, self.network, self.times = GuardedCopy[nn.Module](network, otherwise="no copy"), network, 0

    def __call__(self, images: Tensor, *options: str) -> nn.Module | None:
        return self.guarded.get(images, self._build, *options)

    def _build(self, batches: tuple[Tensor, ...]) -> nn.Module:
        self.times += 1
        return self.network


def test_is_built_once_for_each_state_and_kind_of_input() -> None:
    built = Built(unusual.built(unusual.Base))
    for _ in range(2):
        for images in (points(), points(1), points().float(), points()[..., :8]):
            assert built(images) is built.network
    assert built.times == 3
    assert built(points(), "option") is built.network and built.times == 4
    with torch.no_grad():
        built.network.head.bias += 1
    assert built(points()) is built.network and built.times == 5


def test_stores_few_copies() -> None:
    built = Built(unusual.built(unusual.Base))
    for width in range(5, 5 + MOST_COPIES + 1):
        built(points()[..., :width])
    assert len(built.guarded._copies) == MOST_COPIES


def test_none_while_it_trains_or_carries_hooks() -> None:
    built = Built(unusual.built(unusual.Base).train())
    assert built(points()) is None
    built.network.eval()
    handle = built.network.norm.register_forward_hook(lambda *_: None)
    assert built(points()) is None and built.times == 0 and built.guarded.refusal is None
    handle.remove()
    assert built(points()) is not None


def test_weights_without_a_version_have_no_copy(caplog: pytest.LogCaptureFixture) -> None:
    with torch.inference_mode():
        network = unusual.Base().double().eval()
    with caplog.at_level(logging.INFO):
        assert Built(network)(points()) is None
    assert "version counter" in caplog.text


@pytest.mark.parametrize(
    "error", [KeyError("weight"), AssertionError("shape"), IndexError("axis"), ZeroDivisionError()]
)
def test_whatever_building_raises_is_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def build(batches: tuple[Tensor, ...]) -> nn.Module:
        raise error

    guarded = GuardedCopy[nn.Module](unusual.built(unusual.Base), otherwise="no copy")
    with caplog.at_level(logging.INFO):
        assert guarded.get(points(), build) is None
    assert caplog.messages == [f"no copy: {type(error).__name__}: {error}"]
    assert guarded.refusal is not None and not guarded.refusal.differs


def test_out_of_memory_is_no_reason_to_go_without() -> None:
    def build(batches: tuple[Tensor, ...]) -> int:
        if len(batches[0]) > 1:
            raise torch.OutOfMemoryError("two images are too much")
        return len(batches)

    guarded = GuardedCopy[int](unusual.built(unusual.Base), otherwise="no copy")
    with pytest.raises(torch.OutOfMemoryError):  # who evaluates chunks makes them smaller
        guarded.get(points(4), build)
    assert guarded.get(points(1), build) == 2  # where a chunk is one point, the copy is compared at one after the other


def test_a_copy_that_is_not_equivalent_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def build(batches: tuple[Tensor, ...]) -> nn.Module:
        raise NotEquivalent("it differs")

    guarded = GuardedCopy[nn.Module](unusual.built(unusual.Base), otherwise="no copy")
    with caplog.at_level(logging.WARNING):
        guarded.get(points(), build)
    assert caplog.messages == ["no copy: it differs"]
    assert guarded.refusal is not None and guarded.refusal.differs
