"""Boxes are exactly the positions that a change can reach, and rows are found where they were written."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.engine.incremental.boxes import (
    FILLS,
    LOWEST,
    ZERO,
    RowLayout,
    SlidingKernel,
    bounding_boxes,
    group_by_size,
    positions_in,
)

KERNELS = [
    SlidingKernel((3, 3), padding=(1, 1)),
    SlidingKernel((1, 1), stride=(2, 2)),
    SlidingKernel((2, 5), stride=(1, 3), padding=(0, 2)),
    SlidingKernel((3, 2), stride=(2, 1), dilation=(2, 3)),
    SlidingKernel((2, 2), stride=(5, 4)),
]
SHAPE = (11, 13)
BOXES = torch.tensor([[0, 0, 3, 4], [4, 5, 7, 6], [8, 10, 11, 13], [0, 0, 11, 13], [5, 5, 6, 6]])


def convolution(kernel: SlidingKernel) -> nn.Conv2d:
    """One whose weights are all ones: an output changes where its receptive field meets a change."""
    module = nn.Conv2d(1, 1, kernel.kernel, kernel.stride, kernel.padding, kernel.dilation, bias=False).double()
    nn.init.ones_(module.weight)
    return module


def marked(box: Tensor) -> Tensor:
    """(1, 1, H, W) with ones in a box."""
    image = torch.zeros(1, 1, *SHAPE, dtype=torch.float64)
    image[..., box[0] : box[2], box[1] : box[3]] = 1
    return image


@pytest.mark.parametrize("kernel", KERNELS)
def test_affected_boxes_are_the_smallest_around_what_changes(kernel: SlidingKernel) -> None:
    module = convolution(kernel)
    shape = tuple(module(marked(BOXES[0])).shape[2:])
    affected = kernel.affected(BOXES, shape)  # type: ignore[arg-type]
    for box, (top, left, bottom, right) in zip(BOXES, affected.tolist(), strict=True):
        rows, columns = module(marked(box))[0, 0].nonzero(as_tuple=True)
        assert 0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]
        if len(rows):
            assert (top, bottom) == (int(rows.min()), int(rows.max()) + 1)
            assert (left, right) == (int(columns.min()), int(columns.max()) + 1)
        else:
            assert (bottom - top) * (right - left) >= 1  # never empty, although no output reads the box


@pytest.mark.parametrize("kernel", KERNELS)
def test_receptive_field_is_what_the_outputs_read(kernel: SlidingKernel) -> None:
    """By autograd: the inputs with a gradient, padding included, are between the corners of the box."""
    padded = torch.zeros(1, 1, 40, 40, dtype=torch.float64, requires_grad=True)
    outputs = convolution(SlidingKernel(kernel.kernel, kernel.stride, (0, 0), kernel.dilation))(padded)
    boxes = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 4]])
    for box, (top, left, bottom, right) in zip(boxes.tolist(), kernel.receptive_field(boxes).tolist(), strict=True):
        part = outputs[..., box[0] : box[2], box[1] : box[3]]
        (gradient,) = torch.autograd.grad(part.sum(), padded, retain_graph=True)
        rows, columns = gradient[0, 0].nonzero(as_tuple=True)
        corners = [rows.min() - kernel.padding[0], columns.min() - kernel.padding[1]]
        corners += [rows.max() + 1 - kernel.padding[0], columns.max() + 1 - kernel.padding[1]]
        assert [top, left, bottom, right] == [int(corner) for corner in corners]
        assert kernel.receptive_size(box[2] - box[0], box[3] - box[1]) == (bottom - top, right - left)


def test_positions_and_groups() -> None:
    boxes = torch.tensor([[1, 2, 3, 4], [0, 0, 1, 3], [5, 5, 7, 7]])
    box, y, x = positions_in(boxes)
    assert list(zip(box.tolist(), y.tolist(), x.tolist(), strict=True)) == [
        (0, 1, 2), (0, 1, 3), (0, 2, 2), (0, 2, 3), (1, 0, 0), (1, 0, 1), (1, 0, 2), (2, 5, 5), (2, 5, 6), (2, 6, 5),
        (2, 6, 6),
    ]  # fmt: skip
    order, groups = group_by_size(boxes)
    assert order.tolist() == [1, 0, 2] and groups == [(1, 1, 3), (2, 2, 2)]
    assert bounding_boxes([boxes, boxes.flip(0)]).tolist() == [[1, 2, 7, 7], [0, 0, 1, 3], [1, 2, 7, 7]]


def test_rows_are_located_where_they_were_written() -> None:
    """A table in which each row holds its own meaning: image and position, or window and position."""
    shape, images = (4, 5), 2
    boxes = torch.tensor([[0, 0, 2, 2], [2, 1, 4, 5], [1, 1, 2, 4]])
    layout = RowLayout(boxes, shape, torch.tensor([2, 0, 1]), torch.tensor([0, 1, 1]), images)
    table: list[object] = []
    for image in range(images):
        table += [("clean", image, y, x) for y in range(4) for x in range(5)] + ["zero", "lowest"]
    assert FILLS == 2 and layout.clean_rows == len(table)
    for window in layout.order.tolist():
        top, left, bottom, right = boxes[window].tolist()
        table += [("changed", window, y, x) for y in range(top, bottom) for x in range(left, right)]
    assert layout.rows == len(table) - layout.clean_rows
    y, x = torch.arange(-1, 5)[:, None], torch.arange(-1, 6)
    for fill, name in ((ZERO, "zero"), (LOWEST, "lowest")):
        rows = layout.locate(torch.arange(3)[:, None, None], y, x, fill)
        for window, (top, left, bottom, right) in enumerate(boxes.tolist()):
            for down in range(-1, 5):
                for across in range(-1, 6):
                    found = table[int(rows[window, down + 1, across + 1])]
                    if not (0 <= down < 4 and 0 <= across < 5):
                        assert found == name
                    elif top <= down < bottom and left <= across < right:
                        assert found == ("changed", window, down, across)
                    else:
                        assert found == ("clean", int(layout.image[window]), down, across)


def test_layouts_of_the_same_rows() -> None:
    boxes, order, image = BOXES[:2], torch.arange(2), torch.zeros(2, dtype=torch.int64)
    layout = RowLayout(boxes, SHAPE, order, image, 1)
    assert layout.has_rows_of(layout.with_boxes(boxes.clone(), (20, 20)))
    assert not layout.has_rows_of(layout.with_boxes(boxes + 1, SHAPE))
    assert not layout.has_rows_of(layout.with_boxes(boxes, SHAPE, order.flip(0)))
