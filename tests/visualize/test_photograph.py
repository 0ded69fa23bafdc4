"""Photographs of network inputs: normalisation undone, or refused where mean and std are missing."""

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.preprocessing import Preprocessing
from pipeline.visualize import draw, photograph


def test_a_normalised_input_is_the_image_again(image: Image.Image) -> None:
    preprocessing = Preprocessing(None, image.size[::-1], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    pixels, _ = preprocessing(image)
    for dtype in (torch.float16, torch.float32, torch.float64):
        normalised = preprocessing.normalize(pixels.to(dtype) / 255)
        shown = photograph(normalised, mean=preprocessing.mean, std=preprocessing.std)
        assert np.abs(np.asarray(shown, int) - np.asarray(image)).max() <= (1 if dtype == torch.float16 else 0)
    assert photograph(pixels).tobytes() == photograph(pixels / 255).tobytes() == image.tobytes()


def test_a_normalised_input_is_not_taken_for_an_image(image: Image.Image) -> None:
    pixels = np.asarray(image).transpose(2, 0, 1) / 255
    with pytest.raises(ValueError, match="give the input's mean and std"):
        photograph((pixels - 0.5) / 0.25)
    with pytest.raises(ValueError, match=r"shape \(3, H, W\)"):
        photograph(np.asarray(image))


def test_captum_shows_a_normalised_input_almost_black(image: Image.Image) -> None:
    captum = pytest.importorskip("captum.attr._utils.visualization")
    normalised = (np.asarray(image) / 255 - 0.45) / 0.22
    ones = np.ones(image.size[::-1])
    _, axes = captum.visualize_image_attr(ones, normalised, "masked_image", use_pyplot=False)
    assert axes.get_images()[0].get_array().max() < 5 and np.asarray(image).mean() > 100
    undone = photograph(normalised.transpose(2, 0, 1), mean=(0.45,) * 3, std=(0.22,) * 3)
    assert np.array_equal(draw(ones, undone, method="masked_image"), image)


def test_grey_inputs_are_images_too(image: Image.Image) -> None:
    grey = np.asarray(image.convert("L"))[None]
    assert np.array_equal(np.asarray(photograph(grey / 255)), np.repeat(grey.transpose(1, 2, 0), 3, 2))
