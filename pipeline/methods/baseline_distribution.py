"""Distribution of baselines, given by its members."""

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
MAX_PICTURES = 100
"""Most pictures of a folder; they are held in memory."""


def members_of(description: DistributionLike, preprocessing: Preprocessing | None) -> list[Baselines]:
    """Build the members of a distribution of baselines.

    * a list of descriptions as :func:`~pipeline.methods.baselines.baselines_of` takes them, such as
      [black, white, noise, noise]: its items, each ``noise`` another draw; a list of numbers alone is one colour;
    * a tensor (M, C, H, W): its M rows, the same for all images;
    * a folder: its pictures at any depth, MAX_PICTURES of them at most, spread evenly over their sorted names;
    * anything else: a distribution of that one baseline.

    Raises:
        ValueError: If an item is not a baseline, or there is none.
    """
    if isinstance(description, Tensor):
        description = list(description.split(1))
    elif isinstance(description, str) and Path(description).is_dir():
        description = _pictures(Path(description))
    elif isinstance(description, str) or not isinstance(description, Sequence) or _is_colour(description):
        description = [description]  # type: ignore[list-item]  # a colour is one baseline, whatever its type says
    if not description:
        raise ValueError("baselines: a distribution needs at least one member")
    return [partial(_member, baselines_of(item, preprocessing), number) for number, item in enumerate(description)]


def _is_colour(description: Sequence[object]) -> bool:
    return bool(description) and all(isinstance(value, Real) for value in description)


def _pictures(folder: Path) -> list[str]:
    paths = sample(index_folder(folder, labels=False), limit=MAX_PICTURES).paths
    return [str(folder / os.fsdecode(path)) for path in paths]


def _member(baselines: Baselines, number: int, images: Tensor, seeds: Tensor) -> Tensor:
    return baselines(images, seeds + number)  # other seeds: two members called noise differ
