"""Baselines: every description of the input that means "absent"."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipeline.data.preprocessing import Preprocessing
from pipeline.methods import IntegratedGradients
from pipeline.methods.baselines import baselines_of
from pipeline.methods.method import image_seeds
from pipeline.view import View
from tests.networks import images, small_vgg

PREPROCESSING = Preprocessing(48, (40, 56), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125), interpolation="bicubic")
SEEDS = image_seeds(7, range(5))
COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "#ff8000": (255, 128, 0),
    (12, 34, 56): (12, 34, 56),
}


@pytest.mark.parametrize(("described", "value"), [("zero", 0.0), (0, 0.0), (-1.5, -1.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant(described: float | str, value: float, dtype: torch.dtype) -> None:
    batch = images(5, 40, 56, dtype)
    baselines = baselines_of(described, None)(batch, SEEDS)
    assert baselines.dtype == dtype
    assert torch.equal(baselines, torch.full_like(batch[:1], value))  # one for all: evaluated once


@pytest.mark.parametrize("described", COLOURS, ids=str)
def test_colour(described: str | tuple[int, ...]) -> None:
    baselines = baselines_of(described, PREPROCESSING)(images(5, 40, 56), SEEDS)
    assert baselines.shape == (1, 3, 40, 56)
    for channel, (value, mean, std) in enumerate(
        zip(COLOURS[described], PREPROCESSING.mean, PREPROCESSING.std, strict=True)
    ):
        expected = torch.full((40, 56), (value / 255 - mean) / std, dtype=torch.float64)
        torch.testing.assert_close(baselines[0, channel], expected, rtol=1e-14, atol=1e-14)


def test_mean_of_each_image() -> None:
    batch = images(5, 40, 56)
    baselines = baselines_of("mean", None)(batch, SEEDS)
    for image, baseline in zip(batch, baselines, strict=True):
        for channel in range(3):
            mean = sum(image[channel].flatten().tolist()) / (40 * 56)
            torch.testing.assert_close(baseline[channel], torch.full((40, 56), mean).double(), rtol=1e-6, atol=1e-9)


def test_blur_keeps_the_image_without_its_detail() -> None:
    batch = images(5, 40, 56)
    baselines = baselines_of("blur", None)(batch, SEEDS)
    assert baselines.shape == batch.shape
    roughness = [maps.diff(dim=-1).square().mean((1, 2, 3)) for maps in (baselines, batch)]
    assert (roughness[0] < roughness[1] / 5).all()
    for pair in zip(baselines, batch, strict=True):
        assert torch.corrcoef(torch.stack(pair).flatten(1))[0, 1] > 0.9


def test_blur_is_a_gaussian_of_a_twentieth_of_the_shorter_side() -> None:
    point = torch.zeros(1, 3, 41, 81, dtype=torch.float64)
    point[..., 20, 40] = 1
    row = baselines_of("blur", None)(point, SEEDS[:1])[0, 0].sum(0)
    places = torch.arange(81) - 40
    expected = torch.where(places.abs() <= 6, torch.exp(-(places**2) / (2 * 2.05**2)), 0.0)
    torch.testing.assert_close(row, (expected / expected.sum()).double(), rtol=1e-6, atol=1e-9)


def test_noise_is_uniform_over_the_colours_and_differs_from_image_to_image() -> None:
    baselines = baselines_of("noise", PREPROCESSING)(images(5, 40, 56), SEEDS)
    mean, std = (torch.tensor(values).double()[:, None, None] for values in (PREPROCESSING.mean, PREPROCESSING.std))
    colours = baselines * std + mean
    assert colours.min() > -1e-6 and colours.max() < 1 + 1e-6
    quantiles = torch.tensor([0.1, 0.5, 0.9]).double()
    assert (colours.flatten().quantile(quantiles) - quantiles).abs().max() < 0.02
    assert (baselines[0] != baselines[1]).float().mean() > 0.99


def test_noise_is_the_same_for_an_image_in_any_batch() -> None:
    noise, batch = baselines_of("noise", PREPROCESSING), images(5, 40, 56)
    torch.manual_seed(0)
    together = noise(batch, SEEDS)
    torch.manual_seed(1)
    for number in range(5):
        assert torch.equal(noise(batch[[number]], SEEDS[[number]])[0], together[number])
    assert not torch.equal(noise(batch, image_seeds(8, range(5))), together)


def test_noise_leaves_the_global_generator() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    baselines_of("noise", PREPROCESSING)(images(5, 40, 56), SEEDS)
    assert torch.equal(torch.get_rng_state(), state)


def test_picture(tmp_path: Path) -> None:
    picture = Image.effect_noise((90, 60), 80).convert("RGB")
    picture.save(tmp_path / "absent.png")
    baselines = baselines_of(str(tmp_path / "absent.png"), PREPROCESSING)(images(5, 40, 56), SEEDS)
    expected = PREPROCESSING.normalize(PREPROCESSING(picture)[0].double() / 255)[None]
    torch.testing.assert_close(baselines, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("count", [1, 5])
def test_tensor(count: int) -> None:
    given, batch = images(count, 40, 56), images(5, 40, 56, torch.float32)
    baselines = baselines_of(given, None)(batch, SEEDS)
    assert torch.equal(baselines, given.float())


@pytest.mark.parametrize("shape", [(2, 3, 40, 56), (1, 3, 56, 40), (3, 40, 56)])
def test_tensor_that_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"baselines: {shape} does not fit images of (5, 3, 40, 56)")):
        baselines_of(torch.zeros(shape), None)(images(5, 40, 56), SEEDS)


@pytest.mark.parametrize(
    "described", ["grey", "absent.png", "#ff80", "#12345g", "", [1, 2], [1, 2, 256], [-1, 0, 0], ["a", "b", "c"], None]
)
def test_unknown_descriptions(described: object) -> None:
    with pytest.raises(ValueError, match="baselines"):
        baselines_of(described, PREPROCESSING)  # type: ignore[arg-type]


def test_file_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"baselines: cannot read .*notes\.txt"):
        baselines_of(str(tmp_path / "notes.txt"), PREPROCESSING)


@pytest.mark.parametrize("described", ["black", "#ff8000", "noise", (1, 2, 3)])
def test_colours_need_the_models_preprocessing(described: object) -> None:
    with pytest.raises(ValueError, match=r"baselines: .* preprocessing"):
        IntegratedGradients(small_vgg(), baselines=described)  # type: ignore[arg-type]
    IntegratedGradients(View(small_vgg(), preprocessing=PREPROCESSING), baselines=described)  # type: ignore[arg-type]
