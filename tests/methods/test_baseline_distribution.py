"""Distributions of baselines: lists, tensors, folders, and single baselines."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.data.preprocessing import Preprocessing
from pipeline.methods.baseline_distribution import MAX_PICTURES, DistributionLike, members_of
from pipeline.methods.baselines import baselines_of
from pipeline.methods.method import image_seeds
from tests.networks import images

PREPROCESSING = Preprocessing(resize=None, crop=(64, 72), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
SEEDS = image_seeds(0, range(2))


def drawn(description: DistributionLike) -> list[Tensor]:
    """Baselines of two images from every member."""
    return [member(images(2, 64, 72), SEEDS) for member in members_of(description, PREPROCESSING)]


def test_a_list_has_one_member_for_each_item() -> None:
    members = drawn(["black", 0.5, "blur"])
    expected = [baselines_of(item, PREPROCESSING)(images(2, 64, 72), SEEDS) for item in ("black", 0.5, "blur")]
    assert len(members) == 3
    assert all(torch.equal(member, baselines) for member, baselines in zip(members, expected, strict=True))


def test_a_member_called_noise_twice_is_drawn_twice() -> None:
    first, second = drawn(["noise", "noise"])
    assert (first != second).double().mean() > 0.99


def test_a_tensor_has_one_member_for_each_row() -> None:
    rows = images(3, 64, 72)
    assert all(torch.equal(member, row[None]) for member, row in zip(drawn(rows), rows, strict=True))


@pytest.mark.parametrize("description", ["black", 0.5, [12, 34, 56], (1.0, 2.0, 3.0)], ids=str)
def test_a_single_baseline_is_a_distribution_of_one(description: DistributionLike) -> None:
    """Also a list of three numbers, which is a colour."""
    (member,) = drawn(description)
    assert torch.equal(member, baselines_of(description, PREPROCESSING)(images(2, 64, 72), SEEDS))  # type: ignore[arg-type]


@pytest.mark.parametrize("description", [[], ["black", "grey"], [1, 2], torch.empty(0, 3, 64, 72)], ids=str)
def test_no_distribution(description: DistributionLike) -> None:
    with pytest.raises(ValueError, match="baselines"):
        drawn(description)


def test_a_folder_is_a_distribution_of_its_pictures(tmp_path: Path) -> None:
    colours = {"a/x.png": (255, 0, 0), "b.png": (0, 255, 0)}
    for name, colour in colours.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (100, 80), colour).save(tmp_path / name)
    members = members_of(str(tmp_path), PREPROCESSING)
    x = images(1, 64, 72)
    drawn = [member(x, torch.zeros(1, dtype=torch.int64))[0, :, 0, 0] for member in members]
    means, deviations = torch.tensor(PREPROCESSING.mean).double(), torch.tensor(PREPROCESSING.std).double()
    expected = [(torch.tensor(colour) / 255 - means) / deviations for colour in colours.values()]
    assert len(drawn) == len(expected) == 2
    assert all(any(torch.allclose(member, colour) for member in drawn) for colour in expected)
    for number in range(MAX_PICTURES + 5):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    assert len(members_of(str(tmp_path), PREPROCESSING)) == MAX_PICTURES
