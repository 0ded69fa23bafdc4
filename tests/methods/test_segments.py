"""Segmentation into features: rectangles, superpixels, and masks of the caller."""

import sys

import pytest
import torch
from skimage.segmentation import slic
from torch import Tensor

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import MissingExtra
from pipeline.methods import FeatureAblation
from pipeline.methods.segments import segments_of
from pipeline.view import View
from tests.networks import images, small_vgg

PREPROCESSING = Preprocessing(resize=None, crop=(64, 72), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def segments(description: str | Tensor, batch: Tensor, n_segments: int = 100) -> Tensor:
    return segments_of(description, PREPROCESSING, n_segments=n_segments, compactness=10.0)(batch)


def test_a_grid_by_hand() -> None:
    expected = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5], [3, 3, 4, 4, 5, 5]])
    assert torch.equal(segments("grid", torch.zeros(2, 3, 4, 6), n_segments=6), expected[None, None])


@pytest.mark.parametrize("n_segments", [1, 7, 30, 100])
@pytest.mark.parametrize("size", [(64, 72), (40, 96), (31, 17)])
def test_a_grid_has_equal_rectangles_without_a_gap(size: tuple[int, int], n_segments: int) -> None:
    grid = segments("grid", torch.zeros(1, 3, *size), n_segments)[0, 0]
    counts = grid.flatten().bincount()
    assert counts.min() > 0 and abs(len(counts) - n_segments) <= n_segments / 3
    for number in range(len(counts)):
        rows, columns = (grid == number).nonzero().T
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    heights = torch.stack([(grid == number).any(1).sum() for number in range(len(counts))])
    assert heights.max() - heights.min() <= 1


def test_superpixels_are_those_of_the_image_without_normalisation() -> None:
    pixels = torch.rand(2, 64, 72, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batch = PREPROCESSING.normalize(pixels.permute(0, 3, 1, 2))
    for image, superpixels in zip(pixels.numpy(), segments("slic", batch, 20), strict=True):
        expected = torch.from_numpy(slic(image, 20, 10.0, start_label=0))
        assert (superpixels[0] == expected).double().mean() > 0.99  # all but for rounding


@pytest.mark.parametrize("shape", [(64, 72), (1, 1, 64, 72), (2, 3, 64, 72), (3, 64, 72)])
def test_a_mask_is_left_unchanged(shape: tuple[int, ...]) -> None:
    mask = torch.randint(-5, 5, shape, generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    result = segments(mask, images(2, 64, 72))
    assert result.dtype == torch.int64 and torch.equal(result, mask.long().reshape(result.shape))
    assert result.ndim == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"feature_mask": "squares"}, "feature_mask must be grid or slic, not 'squares'"),
        ({"feature_mask": "grid", "n_segments": 0}, "n_segments must be a whole number from 1"),
        ({"feature_mask": "grid", "compactness": 0}, "compactness must be above 0"),
        ({"feature_mask": "slic"}, "slic needs the model's colours"),
        ({"feature_mask": torch.zeros(64, 72)}, "whole numbers"),
        ({"feature_mask": torch.zeros(60, 72, dtype=torch.int64)}, r"\(1, 1, 60, 72\) does not fit"),
        ({"feature_mask": torch.zeros(4, 1, 64, 72, dtype=torch.int64)}, "does not fit"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ValueError, match=words):
        FeatureAblation(small_vgg(), **options)(images(1, 64, 72, torch.float32), 1)


def test_missing_scikit_image_is_reported_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtra, match="feature_mask=grid"):
        FeatureAblation(View(small_vgg(), preprocessing=PREPROCESSING), feature_mask="slic")
