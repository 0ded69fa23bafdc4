"""Arrays packed for the page: values to a step of 255."""

import base64

import numpy as np

from pipeline.audit.page.packed_arrays import pack_maps, pack_points


def test_packed_maps_keep_their_values_to_a_step() -> None:
    maps = np.random.default_rng(0).random((3, 16, 16))
    maps[1] = 0
    packed = pack_maps(maps)
    levels = np.frombuffer(base64.b64decode(packed["levels"]), np.uint8).reshape(3, 256)
    restored = levels / 255 * np.array(packed["top"])[:, None] / 256
    np.testing.assert_allclose(restored, maps.reshape(3, 256), atol=1 / 255)
    assert packed["top"][1] == 0


def test_packed_points_fill_the_square_of_their_group() -> None:
    points = np.array([[0, 5], [1, 7], [np.nan, np.nan], [3, 3]])
    packed = pack_points(points, np.array([0, 0, 0, 1]))
    x, y = (np.frombuffer(base64.b64decode(packed[name]), np.uint8).tolist() for name in "xy")
    assert x == [0, 254, 255, 0] and y == [0, 254, 255, 0]
