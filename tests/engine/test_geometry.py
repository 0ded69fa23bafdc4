"""Stored maps expand to the input's size, also by a geometry read from the JSON of a shard."""

import json

import pytest
import torch

from pipeline.engine.geometry import Grid, Pixels, from_json
from pipeline.engine.occlusion_windows import Windows

GEOMETRIES = [
    Pixels((3, 5, 7)),
    Pixels((3, 5, 7), "sum"),
    Windows((3, 5, 7), (3, 2, 3), (3, 2, 2)),
    Windows((3, 5, 7), (1, 5, 7), (1, 5, 7), "sum"),
    Grid((3, 5, 7), (2, 3), "bilinear"),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_json_and_shapes(geometry: Pixels | Windows | Grid) -> None:
    again = from_json(json.loads(json.dumps(geometry.to_json())))
    assert again == geometry
    native = torch.randn(4, *geometry.native_shape, dtype=torch.float64)
    assert torch.equal(again.expand(native), geometry.expand(native))
    channels = 3 if geometry in GEOMETRIES[::2][:2] else 1
    assert geometry.expand(native).shape == (4, channels, 5, 7)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="geometry 'superpixels' are unknown to this version; known: pixels, windows"):
        from_json({"kind": "superpixels", "shape": [3, 5, 7]})


def test_pixels() -> None:
    maps = torch.randn(4, 3, 5, 7)
    assert torch.equal(Pixels((3, 5, 7)).reduce(maps), maps)
    summed = Pixels((3, 5, 7), "sum")
    torch.testing.assert_close(summed.reduce(maps)[:, 0], maps[:, 0] + maps[:, 1] + maps[:, 2])
    assert summed.expand(summed.reduce(maps)).shape == (4, 1, 5, 7)
