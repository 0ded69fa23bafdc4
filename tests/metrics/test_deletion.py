"""Deletion and insertion curves: the authors' loop, known answers, and blur."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from pipeline.metrics import Deletion
from pipeline.metrics.deletion import blur_images, blur_kernel
from tests.metrics.known_networks import SIZE, Constant, Linear, OnePixel, batch_of, maps_with_controls
from tests.networks import images, small_vgg


def test_the_blur_is_that_of_the_authors_code() -> None:
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    np.testing.assert_allclose(
        torch.outer(blur_kernel(), blur_kernel()).numpy(), gaussian_filter(impulse, 5), atol=1e-15
    )
    x = images(2, SIZE, SIZE)
    kernel = torch.zeros(3, 3, 11, 11, dtype=torch.float64)
    for channel in range(3):
        kernel[channel, channel] = torch.from_numpy(gaussian_filter(impulse, 5))
    torch.testing.assert_close(blur_images(x), nn.functional.conv2d(x, kernel, padding=5))


def replica(network: nn.Module, image: Tensor, map: Tensor, target: int, *, step: int, insertion: bool) -> float:
    """``CausalMetric.single_run`` and ``auc`` of the authors' evaluation.py, for a map without equal values."""
    pixels = map.numel()
    count = (pixels + step - 1) // step
    start, finish = (
        (blur_images(image[None]), image[None]) if insertion else (image[None], torch.zeros_like(image[None]))
    )
    start = start.clone()
    order = np.flip(np.argsort(map.flatten().numpy()))
    scores = np.empty(count + 1)
    for i in range(count + 1):
        with torch.no_grad():
            scores[i] = network(start).softmax(1)[0, target]
        coordinates = torch.from_numpy(order[step * i : step * (i + 1)].copy())
        start.reshape(1, 3, pixels)[0, :, coordinates] = finish.reshape(1, 3, pixels)[0, :, coordinates]
    return float((scores.sum() - scores[0] / 2 - scores[-1] / 2) / count)


def test_replica() -> None:
    network, x = small_vgg().double(), images(2, SIZE, SIZE)
    batch = batch_of(network, x, targets=[3, 7])
    maps = torch.randn(4, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    measured = Deletion(steps=6).measure(batch, maps).scores
    for name in ("deletion", "insertion"):
        for kind in range(4):
            for image, target in enumerate((3, 7)):
                expected = replica(
                    network, x[image], maps[kind, image], target, step=SIZE**2 // 6, insertion=name == "insertion"
                )
                assert abs(measured[name][kind, image] - expected) < 1e-12


def test_of_a_linear_model_no_order_is_better_than_its_own() -> None:
    network, x = Linear(), images(4, SIZE, SIZE)
    batch = batch_of(network, x)
    deletion = Deletion(steps=8).measure(batch, maps_with_controls(batch, network.map(x))).scores["deletion"]
    assert (deletion[0] < deletion[1:]).all()
    gain = network.map(x - blur_images(x))
    insertion = Deletion(steps=8).measure(batch, maps_with_controls(batch, gain)).scores["insertion"]
    assert (insertion[0] > insertion[1:]).all()


def test_of_one_pixel_all_is_in_the_first_step() -> None:
    network, x = OnePixel(), images(3, SIZE, SIZE)
    batch = batch_of(network, x)
    map = torch.zeros(1, 3, SIZE, SIZE, dtype=torch.float64)
    map[..., 5, 9] = 1
    measured = Deletion(steps=8).measure(batch, map)
    before, after = network(x).softmax(1)[:, 0], torch.full((3,), 0.5, dtype=torch.float64)
    expected = torch.cat((before[:, None], after[:, None].expand(-1, 8)), 1)
    torch.testing.assert_close(measured.curves["deletion"][0], expected)
    torch.testing.assert_close(measured.scores["deletion"][0], (before / 2 + 7.5 * after) / 8)


def test_of_a_constant_model_every_order_is_the_same() -> None:
    x = images(2, SIZE, SIZE)
    batch = batch_of(Constant(), x)
    scores = Deletion(steps=4).measure(batch, maps_with_controls(batch, x.sum(1))).scores
    for values in scores.values():
        torch.testing.assert_close(
            values, torch.full((4, 2), torch.tensor([1.0, 0.0]).softmax(0)[0], dtype=torch.float64)
        )
