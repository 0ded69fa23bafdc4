"""Occlusion windows cover the input as Captum's do, and their values expand to means over the windows of a pixel."""

import pytest
import torch

from pipeline.engine.occlusion_windows import Windows


@pytest.mark.parametrize(
    ("size", "window", "stride", "starts"),
    [
        (5, 2, 2, [0, 2, 4]),  # the last is cropped (Captum: 0:2, 2:4, 4:5)
        (6, 2, 2, [0, 2, 4]),
        (6, 6, 9, [0]),  # the whole axis; its stride means nothing
        (6, 1, 1, [0, 1, 2, 3, 4, 5]),
        (7, 3, 2, [0, 2, 4]),
        (8, 3, 2, [0, 2, 4, 6]),
        (224, 45, 9, list(range(0, 181, 9))),
    ],
)
def test_boxes(size: int, window: int, stride: int, starts: list[int]) -> None:
    windows = Windows((3, size, 4), (3, window, 4), (3, stride, 4))
    assert windows.native_shape == (1, len(starts), 1)
    boxes = windows.boxes()
    assert boxes.dtype == torch.int64
    assert boxes[:, 1].tolist() == [[start, min(start + window, size)] for start in starts]
    assert (boxes[:, 0] == torch.tensor([0, 3])).all() and (boxes[:, 2] == torch.tensor([0, 4])).all()


def test_boxes_are_in_the_order_of_the_grid() -> None:
    windows = Windows((3, 5, 7), (2, 2, 3), (1, 2, 2))
    boxes = windows.boxes().unflatten(0, windows.native_shape)
    for c in range(2):
        for h in range(3):
            for w in range(3):
                channels, rows, columns = boxes[c, h, w].tolist()
                assert channels == [c, min(c + 2, 3)]
                assert rows == [2 * h, min(2 * h + 2, 5)]
                assert columns == [2 * w, min(2 * w + 3, 7)]


@pytest.mark.parametrize(
    ("window", "strides"), [((3, 2, 3), (3, 2, 2)), ((2, 5, 7), (1, 1, 1)), ((1, 1, 1), (1, 1, 1))]
)
def test_each_value_is_the_mean_over_the_windows_that_cover_it(
    window: tuple[int, int, int], strides: tuple[int, int, int]
) -> None:
    windows = Windows((3, 5, 7), window, strides)
    native = torch.randn(2, *windows.native_shape, dtype=torch.float64)
    sums, covering = torch.zeros(2, 2, 3, 5, 7, dtype=torch.float64)
    for drop, box in zip(native.flatten(1).T, windows.boxes().tolist(), strict=True):
        place = (slice(None), *(slice(*along) for along in box))
        sums[place] += drop[:, None, None, None]
        covering[place] += 1
    torch.testing.assert_close(windows.expand(native), sums / covering, rtol=1e-12, atol=1e-14)
    summed = Windows((3, 5, 7), window, strides, "sum").expand(native)
    torch.testing.assert_close(summed[:, 0], (sums / covering).sum(1), rtol=1e-12, atol=1e-14)


def test_half_precision_is_expanded_in_float32() -> None:
    windows = Windows((3, 50, 70), (3, 15, 15), (3, 8, 8))
    native = torch.randn(2, *windows.native_shape).half()
    expanded = windows.expand(native)
    assert expanded.dtype == torch.float32
    assert torch.equal(expanded, windows.expand(native.float()))


@pytest.mark.parametrize(
    ("window", "strides", "words"),
    [
        ((4, 5, 7), (3, 2, 2), "sliding_window_shapes: 4 along C does not fit the input, which has 3"),
        ((3, 0, 7), (3, 2, 2), "sliding_window_shapes: 0 along H"),
        ((3, 5, 8), (3, 2, 2), "sliding_window_shapes: 8 along W"),
        ((3, 2, 3), (3, 3, 2), "strides: 3 along H must be from 1 to the window's size, 2"),
        ((3, 2, 3), (3, 2, 0), "strides: 0 along W"),
    ],
)
def test_windows_that_do_not_fit(window: tuple[int, int, int], strides: tuple[int, int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Windows((3, 5, 7), window, strides)
