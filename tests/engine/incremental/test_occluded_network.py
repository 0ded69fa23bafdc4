"""The choice of the engine for occluded images, and that the choice does not change the maps."""

import logging

import pytest
import torch
from torch import nn

from pipeline.engine.incremental.evaluator import IncrementalEvaluator
from pipeline.methods import Occlusion
from pipeline.view import View
from tests import networks


def maps(network: nn.Module, engine: str, images: torch.Tensor, **options: object) -> torch.Tensor:
    method = Occlusion(View(network, engine=engine), sliding_window_shapes=(3, 15, 15), strides=(3, 8, 8), **options)
    return method(images, torch.arange(len(images)))


@pytest.mark.parametrize("network", [networks.resnet18, networks.small_vgg])
@pytest.mark.parametrize(
    "window, strides", [((3, 15, 15), (3, 8, 8)), ((3, 16, 16), (3, 16, 16)), ((1, 20, 33), (1, 7, 9))]
)
def test_incremental_equals_dense(network, window, strides):
    images = networks.images(2, 64, 72)
    both = [
        Occlusion(View(network().double(), engine=engine), sliding_window_shapes=window, strides=strides)(images, 3)
        for engine in ("incremental", "dense")
    ]
    assert (both[0] - both[1]).abs().max() < 1e-10 * both[1].abs().max()


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_chunk_does_not_matter(chunk):
    images, network = networks.images(2, 64, 64), networks.small_vgg().double()
    assert torch.allclose(
        maps(network, "incremental", images, internal_batch_size=chunk),
        maps(network, "dense", images),
        rtol=0,
        atol=1e-12,
    )


class Branching(nn.Module):
    """Its path depends on its values, which a graph cannot hold."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = images.mean((2, 3))
        return pooled if pooled.sum() > 0 else 2 * pooled


def test_what_cannot_be_traced_is_evaluated_in_full_or_refused():
    images = networks.images(1, 32, 32)
    assert maps(Branching().eval(), "auto", images).isfinite().all()
    with pytest.raises(ValueError, match="engine=incremental"):
        maps(Branching().eval(), "incremental", images)


def test_what_would_save_nothing_is_evaluated_in_full():
    patches = nn.Conv2d(3, 64, 8, stride=8), nn.Flatten(2), nn.Linear(72, 4000), nn.Linear(4000, 9), nn.Flatten()
    network = nn.Sequential(*patches).eval()
    images, boxes = networks.images(1, 64, 72, torch.float32), torch.tensor([[0, 0, 15, 15]])
    chosen = {engine: View(network, engine=engine).occluded for engine in ("auto", "incremental")}
    assert chosen["auto"].incremental(images, images, boxes, None) is None
    assert chosen["incremental"].incremental(images, images, boxes, None) is not None


def test_a_hooked_network_is_evaluated_in_full():
    network, images = networks.small_vgg().double(), networks.images(1, 32, 32)
    clean = maps(network, "auto", images)
    network[0].register_forward_hook(lambda _module, _inputs, output: 2 * output)
    hooked = maps(network, "auto", images)
    assert torch.equal(hooked, maps(network, "dense", images))
    assert not torch.allclose(hooked, clean)


def test_changed_weights_are_seen():
    network, images = networks.small_vgg().double(), networks.images(1, 32, 32)
    method = Occlusion(network, sliding_window_shapes=(3, 15, 15), strides=(3, 8, 8))
    before = method(images, 0)
    with torch.no_grad():
        network[0].weight.mul_(-1)
    after = method(images, 0)
    assert not torch.allclose(before, after)
    assert torch.allclose(after, maps(network, "dense", images), rtol=0, atol=1e-12)


def test_an_engine_that_is_off_is_not_used(monkeypatch, caplog):
    """Breaks the engine on purpose: the self-check must see it."""
    right = IncrementalEvaluator.values
    monkeypatch.setattr(IncrementalEvaluator, "values", lambda self, *given: right(self, *given) + torch.rand(1))
    network, images = networks.small_vgg().double(), networks.images(1, 32, 32)
    with caplog.at_level(logging.WARNING):
        found = maps(network, "auto", images)
    assert "its outputs differ from the network's" in caplog.text
    assert torch.equal(found, maps(network, "dense", images))


def test_unknown_engine():
    with pytest.raises(ValueError, match="engine must be one of auto, dense, incremental"):
        View(networks.small_vgg(), engine="fast")
