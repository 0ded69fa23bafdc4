"""Layer activation: the layer's output by a hook, whatever the target."""

import pytest
import torch

from pipeline.methods import Activation
from pipeline.methods.method import image_seeds
from pipeline.view import LayerView
from tests.networks import images, small_vgg


@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("layer", ["0", "3", "8"])
def test_equals_the_output_of_the_layer(layer: str, chunk: int | None) -> None:
    """Also of a layer whose output the next one writes over in place."""
    network, batch = small_vgg().double(), images(3, 40, 56)
    outputs: list[torch.Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda *call: outputs.append(call[2].detach().clone()))
    network(batch)
    handle.remove()
    maps = Activation(LayerView(network, layer=layer), internal_batch_size=chunk)(batch, 2)
    torch.testing.assert_close(maps, outputs[0], rtol=1e-12, atol=1e-12)


def test_all_targets_have_the_same_map_and_scores_are_undefined() -> None:
    batch, targets = images(2, 40, 56), torch.tensor([[1, 4, 7], [2, 2, 0]])
    method = Activation(LayerView(small_vgg().double(), layer="3"))
    attribution = method.explain(batch, targets, scores=torch.zeros(2, 3), seeds=image_seeds(0, range(2)))
    assert attribution.maps.shape == (2, 3, 16, 20, 28) and attribution.evaluations == 1
    assert torch.equal(attribution.maps[:, :1].expand(-1, 3, -1, -1, -1), attribution.maps)
    assert attribution.baseline_score.isnan().all() and attribution.convergence_delta.isnan().all()
