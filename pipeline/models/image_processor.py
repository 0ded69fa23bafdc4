"""Image processor of a Hugging Face model -> ``Preprocessing``; one that cannot be expressed is refused."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""PIL's filters by number, as in the configuration."""
CONVNEXT_NO_CROP = 384
"""Side in pixels from which ConvNeXt's processor does not crop."""
TOLERANCE = 4
"""Grey levels of 255: the effect on the ramp below of a shift by one pixel, as the two round the crop's centre."""


def preprocessing_of(processor: "BaseImageProcessor", name: str) -> Preprocessing:
    """Converts the fields of an image processor, and compares both on a test picture.

    Args:
        processor: Of transformers, its PIL variant.
        name: The model's, for messages.

    Raises:
        UsageError: The processor has a step that ``Preprocessing`` cannot express; the message names it.
    """
    fields = processor.to_dict()
    resize, crop = _sides(fields, name)
    if not fields.get("do_rescale") or abs(fields["rescale_factor"] * 255 - 1) > 1e-6:
        raise UsageError(f"{name}: its image processor does not scale pixels to [0, 1], which is not supported")
    if fields.get("do_resize") and fields["resample"] not in INTERPOLATIONS:
        raise UsageError(f"{name}: its image processor resizes by PIL's filter {fields['resample']}, not supported")
    normalize = fields.get("do_normalize")
    preprocessing = Preprocessing(
        resize,
        crop,
        mean=tuple(fields["image_mean"]) if normalize else (0.0,) * 3,
        std=tuple(fields["image_std"]) if normalize else (1.0,) * 3,
        interpolation=INTERPOLATIONS[fields["resample"]] if fields.get("do_resize") else "bilinear",
    )
    if not _equal_on_a_ramp(processor, preprocessing):
        raise UsageError(
            f"{name}: {fields['image_processor_type']} does more to an image than resize, crop the centre and "
            "normalise, which is not supported: wrap the network for model=checkpoint"
        )
    return preprocessing


def _sides(fields: Mapping[str, Any], name: str) -> tuple[int | tuple[int, int] | None, tuple[int, int]]:
    """The fields ``resize`` and ``crop`` of the preprocessing."""
    size = {key: value for key, value in dict(fields.get("size") or {}).items() if value is not None}
    if fields.get("crop_pct") and size.keys() == {"shortest_edge"}:
        side = size["shortest_edge"]
        return (side, side) if side >= CONVNEXT_NO_CROP else int(side / fields["crop_pct"]), (side, side)
    resize: int | tuple[int, int] | None = None
    if fields.get("do_resize") and size.keys() == {"shortest_edge"}:
        resize = size["shortest_edge"]
    elif fields.get("do_resize") and size.keys() == {"height", "width"}:
        resize = (size["height"], size["width"])
    elif fields.get("do_resize"):
        raise UsageError(f"{name}: its image processor resizes to {size}, which is not supported")
    if fields.get("do_center_crop"):
        return resize, (fields["crop_size"]["height"], fields["crop_size"]["width"])
    if not isinstance(resize, tuple):
        raise UsageError(f"{name}: its image processor gives images of any shape, and a run needs one: do_center_crop")
    return resize, resize


def _equal_on_a_ramp(processor: "BaseImageProcessor", preprocessing: Preprocessing) -> bool:
    """True if both give equal inputs for a colour ramp, whose channels, rows and columns all differ."""
    height, width = 2 * preprocessing.crop[0], 3 * preprocessing.crop[1]
    down, right = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    ramps = (100 + 50 * down + 90 * right, 200 - 90 * down - 60 * right, 60 + 80 * down * right)
    picture = Image.fromarray(np.stack([np.broadcast_to(ramp, (height, width)) for ramp in ramps], 2).astype(np.uint8))
    theirs = np.asarray(processor(picture, return_tensors="np")["pixel_values"][0])
    ours = preprocessing.normalize(preprocessing(picture)[0] / 255).numpy()
    levels = 255 * np.asarray(preprocessing.std)[:, None, None]
    return theirs.shape == ours.shape and bool((np.abs(theirs - ours) * levels <= TOLERANCE).all())
