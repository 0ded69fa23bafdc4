"""Baselines drawn from a distribution, described by its members."""

import os
from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path

from torch import Tensor

from pipeline.data.image_index import index_folder, sample
from pipeline.data.preprocessing import Preprocessing
from pipeline.methods.baselines import BaselineLike, Baselines, baselines_of

DistributionLike = BaselineLike | Sequence[BaselineLike]
LARGEST_FOLDER = 100
"""Pictures of a folder that are kept in memory."""


def members_of(described: DistributionLike, preprocessing: Preprocessing | None) -> list[Baselines]:
    """The members of a distribution of baselines.

    * a list of what the option ``baselines`` may be elsewhere, such as [black, white, noise, noise]: its items, each
      ``noise`` another draw;
    * a tensor (M, C, H, W): its M rows, the same for all images;
    * a folder: its pictures at any depth, LARGEST_FOLDER of them at most, spread evenly over their sorted names;
    * anything else: a distribution of that one baseline.

    Raises:
        ValueError: If an item is not a baseline, or there is none.
    """
    if isinstance(described, Tensor):
        described = list(described.split(1))
    elif isinstance(described, str) and Path(described).is_dir():
        described = _pictures(Path(described))
    elif isinstance(described, str) or not isinstance(described, Sequence) or _is_colour(described):
        described = [described]  # type: ignore[list-item]  # a colour is one baseline, whatever its type says
    if not described:
        raise ValueError("baselines: a distribution needs at least one member")
    return [partial(_drawn, baselines_of(item, preprocessing), number) for number, item in enumerate(described)]


def _is_colour(described: Sequence[object]) -> bool:
    return bool(described) and all(isinstance(value, Real) for value in described)


def _pictures(folder: Path) -> list[str]:
    paths = sample(index_folder(folder, labels=False), limit=LARGEST_FOLDER).paths
    return [str(folder / os.fsdecode(path)) for path in paths]


def _drawn(baselines: Baselines, number: int, images: Tensor, seeds: Tensor) -> Tensor:
    return baselines(images, seeds + number)
