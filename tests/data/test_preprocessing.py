import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms._presets import ImageClassification

from pipeline.data.decode import UnreadableImage, read_image
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def preprocessing(
    resize: int | tuple[int, int] | None, crop: tuple[int, int], interpolation: str = "bilinear"
) -> Preprocessing:
    return Preprocessing(resize, crop, MEAN, STD, interpolation)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (342, 299), (100, 224)])
def test_the_preset_of_torchvision(photographs: Path, interpolation: str, resize: int, crop: int) -> None:
    settings = preprocessing(resize, (crop, crop), interpolation)
    mode = InterpolationMode(interpolation)
    preset = ImageClassification(crop_size=crop, resize_size=resize, interpolation=mode)
    files = sorted(photographs.glob("*/*"))
    assert len(files) >= 6
    for file in files:
        image = read_image(file)
        pixels, _ = settings(image)
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (3, crop, crop)
        assert torch.equal(settings.normalize(pixels / 255), preset(image))


@pytest.mark.parametrize("size", [(1, 1), (500, 375), (375, 500), (333, 501), (225, 224), (20, 70), (257, 256)])
def test_the_other_version_of_the_transforms(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    transforms = v2.Compose([v2.Resize(256), v2.CenterCrop((224, 200)), v2.PILToTensor()])
    assert torch.equal(preprocessing(256, (224, 200))(image)[0], transforms(image))


def test_a_size_for_both_sides(photographs: Path) -> None:
    image = read_image(photographs / "n02123159/chelsea.png")
    pixels, crop = preprocessing((120, 80), (120, 80), "bicubic")(image)
    assert torch.equal(pixels, v2.PILToTensor()(image.resize((80, 120), Image.Resampling.BICUBIC)))
    assert crop.tolist() == [300, 451, 0, 0, 300, 451]


@pytest.mark.parametrize(
    ("size", "resize", "crop", "box"),
    [
        ((512, 512), 256, (224, 224), [32, 32, 480, 480]),
        ((451, 300), 256, (224, 224), [19, 94, 281, 357]),
        ((300, 451), 256, (224, 224), [94, 19, 357, 281]),
        ((300, 200), None, (100, 50), [50, 125, 150, 175]),
        ((100, 80), None, (100, 120), [-10, -10, 90, 110]),  # black above, below, left and right
        ((101, 100), None, (100, 104), [0, -1, 100, 103]),  # an odd border is larger at the right
    ],
)
def test_crop_box(size: tuple[int, int], resize: int | None, crop: tuple[int, int], box: list[int]) -> None:
    _, crop_box = preprocessing(resize, crop)(Image.new("RGB", size))
    assert crop_box.dtype == torch.int32
    assert crop_box.tolist() == [size[1], size[0], *box]


@pytest.mark.parametrize(("size", "crop"), [((331, 207), (101, 52)), ((90, 207), (101, 98)), ((40, 41), (60, 63))])
def test_the_box_is_where_the_pixels_come_from(size: tuple[int, int], crop: tuple[int, int]) -> None:
    width, height = size
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    where = torch.stack([rows, columns, torch.full_like(rows, 255)], -1).to(torch.uint8)
    pixels, box = preprocessing(None, crop)(Image.fromarray(where.numpy()))
    _, _, top, left, bottom, right = box.tolist()
    assert (bottom - top, right - left) == crop
    inside = pixels[2] == 255
    down, across = (grid[inside] for grid in torch.meshgrid(*map(torch.arange, crop), indexing="ij"))
    assert torch.equal(pixels[0][inside].long(), (down + top) % 256)
    assert torch.equal(pixels[1][inside].long(), (across + left) % 256)


def test_a_strip_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(UnreadableImage, match="too narrow to resize: 60000 x 1 pixels"):
        preprocessing(256, (224, 224))(Image.new("RGB", (60000, 1)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalize_keeps_the_dtype(dtype: torch.dtype) -> None:
    images = torch.rand(2, 4, 3, 5, 6, dtype=dtype, generator=torch.Generator().manual_seed(0))
    normalized = preprocessing(None, (5, 6)).normalize(images)
    mean, std = (torch.tensor(values, dtype=dtype).view(3, 1, 1) for values in (MEAN, STD))
    assert normalized.dtype == dtype
    assert torch.equal(normalized, (images - mean) / std)


def test_normalize_has_a_gradient() -> None:
    images = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(preprocessing(None, (2, 2)).normalize(images).sum(), images)
    expected: Tensor = 1 / torch.tensor(STD, dtype=torch.float64)
    torch.testing.assert_close(gradient, expected.view(1, 3, 1, 1).expand_as(gradient))


@pytest.mark.parametrize("resize", [256, (120, 80), None])
def test_json(resize: int | tuple[int, int] | None) -> None:
    settings = preprocessing(resize, (224, 200), "bicubic")
    assert Preprocessing.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resize": 0}, "resize=0"),
        ({"resize": (3, 4, 5)}, r"resize=\(3, 4, 5\)"),
        ({"crop": (0, 5)}, r"crop=\(0, 5\)"),
        ({"crop": (5,)}, r"crop=\(5,\)"),
        ({"interpolation": "cubic"}, "interpolation=cubic, expected nearest, bilinear, bicubic, lanczos"),
        ({"mean": (0.5,)}, "three numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "three numbers"),
    ],
)
def test_wrong_values(fields: dict[str, object], message: str) -> None:
    right = preprocessing(256, (224, 224)).to_json()
    with pytest.raises(UsageError, match=message):
        Preprocessing(**(right | fields))
