"""Randomised weights: a network randomised by hand, maps compared by SciPy and scikit-image, weights restored."""

import copy

import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from pipeline.methods import InputXGradient
from pipeline.metrics import Randomisation
from pipeline.metrics.randomisation import parameter_layers, randomised_weights
from pipeline.view import View
from tests.metrics.known_networks import SIZE, batch_of, maps_with_controls
from tests.networks import images, residual, small_vgg


def test_layers_are_randomised_and_get_their_weights_back() -> None:
    network = residual()
    before = copy.deepcopy(network.state_dict())
    layers = parameter_layers(network)
    assert [type(layer).__name__ for layer in layers] == ["Conv2d", "BatchNorm2d", "Conv2d", "BatchNorm2d", "Linear"]
    with pytest.raises(RuntimeError, match="inside"), randomised_weights(layers[-2:], seed=3):
        now = network.state_dict()
        changed = {name for name in before if not torch.equal(before[name], now[name])}
        head = now["head.2.weight"]
        assert changed == {"body.1.weight", "body.1.bias", "head.2.weight", "head.2.bias"} - flat(before)
        assert abs(head.std() / before["head.2.weight"].std() - 1) < 0.1
        raise RuntimeError("inside")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with randomised_weights(layers[-2:], seed=3):
        assert torch.equal(network.state_dict()["head.2.weight"], head)
    with randomised_weights(layers, seed=3):  # more layers, the same weights in those that were random before
        assert torch.equal(network.state_dict()["head.2.weight"], head)


def flat(state: dict[str, Tensor]) -> set[str]:
    """Parameters whose values are all equal, so that their deviation is 0."""
    return {
        name for name, values in state.items() if values.is_floating_point() and (values == values.flatten()[:1]).all()
    }


def test_replica() -> None:
    network, x, targets = small_vgg().double(), images(2, SIZE, SIZE), [3, 1]

    def explained(model: nn.Module) -> Tensor:
        return InputXGradient(model)(x, targets).sum(1).abs()

    view = View(network, prepare=True)  # whose prepared copy must notice
    batch = batch_of(network, x, explain=lambda points: InputXGradient(view)(points, targets).sum(1))
    measured = Randomisation(stages=2, seed=7).measure(
        batch, maps_with_controls(batch, InputXGradient(network)(x, targets).sum(1))
    )
    layers = len(parameter_layers(network))
    for stage, count in enumerate((-(-layers // 2), layers)):
        other = copy.deepcopy(network)
        with randomised_weights(parameter_layers(other)[-count:], seed=7):
            pair = explained(network), explained(other)
        for i in range(2):
            one, two = (side[i].numpy() for side in pair)
            assert (
                abs(measured.curves["randomised_spearman"][0, i, stage] - spearmanr(one.ravel(), two.ravel()).statistic)
                < 1e-9
            )
            options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
            expected = structural_similarity(one / one.max(), two / two.max(), **options)
            assert abs(measured.curves["randomised_ssim"][0, i, stage] - expected) < 1e-9
    scores = measured.scores
    torch.testing.assert_close(scores["randomised_spearman"], measured.curves["randomised_spearman"].mean(2))
    for score in scores.values():
        assert (score[0] < 0.99).all()
        torch.testing.assert_close(score[1:], torch.ones(3, 2).double())  # controls do not see the network
