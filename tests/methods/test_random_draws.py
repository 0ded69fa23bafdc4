"""Random draws: from each image's own seed, the same in any batch, without the global generator."""

import pytest
import torch

from pipeline.methods.method import image_seeds
from pipeline.methods.random_draws import normal_noise, sample_seeds, stdev_tensor
from tests.networks import images

SEEDS = image_seeds(0, range(4))


def test_every_sample_has_a_seed_of_its_own() -> None:
    seeds = sample_seeds(SEEDS, range(50))
    assert seeds.shape == (4, 50) and seeds.dtype == torch.int64 and len(seeds.unique()) == 200
    assert torch.equal(sample_seeds(SEEDS[[2]], [7, 3]), seeds[[2]][:, [7, 3]])
    assert not torch.isin(seeds, SEEDS).any()  # a method's own draw from the image's seed is another


def test_noise_is_standard_normal() -> None:
    noise = normal_noise(images(4, 64, 72), SEEDS)
    assert noise.mean().abs() < 0.02 and (noise.std() - 1).abs() < 0.02
    quantiles = torch.tensor([0.1587, 0.5, 0.8413]).double()  # of -1, 0 and 1
    assert (noise.flatten().quantile(quantiles) - torch.tensor([-1.0, 0, 1])).abs().max() < 0.02
    assert torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).abs().max() < 0.03


def test_noise_depends_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    state, batch = torch.get_rng_state(), images(4, 64, 72)
    together = normal_noise(batch, SEEDS)
    for number in range(4):
        assert torch.equal(normal_noise(batch[:1], SEEDS[[number]])[0], together[number])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_noise_of_another_dtype_is_the_same_rounded(dtype: torch.dtype) -> None:
    noise = normal_noise(images(4, 64, 72, dtype), SEEDS)
    assert noise.dtype == dtype and torch.equal(noise, normal_noise(images(4, 64, 72), SEEDS).to(dtype))


def test_stdevs_are_one_for_all_channels_or_one_for_each() -> None:
    ones = torch.ones(2, 3, 4, 5, dtype=torch.float64)
    assert torch.equal(stdev_tensor(0.5) * ones, 0.5 * ones)
    expected = ones * torch.tensor([0.1, 0.2, 0.3]).double().reshape(1, 3, 1, 1)
    torch.testing.assert_close(stdev_tensor([0.1, 0.2, 0.3]) * ones, expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("stdevs", [-0.1, [0.1, -1], [], "0.1", [None]])
def test_stdevs_out_of_range(stdevs: object) -> None:
    with pytest.raises(ValueError, match="stdevs must be a number from 0, or one for each channel, not"):
        stdev_tensor(stdevs)  # type: ignore[arg-type]
