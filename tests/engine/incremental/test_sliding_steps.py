"""Convolutions and pooling on boxes give the rows of whole maps, whatever the box, the borders and the tiles."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.engine import winograd
from pipeline.engine.incremental.boxes import FILLS, LOWEST, RowLayout, SlidingKernel, positions_in
from pipeline.engine.incremental.sliding_steps import Linear, Slide, Winograd
from pipeline.engine.incremental.steps import Step

HEIGHT, WIDTH = 9, 11
BOXES = torch.tensor([[0, 0, 3, 4], [4, 5, 7, 6], [6, 8, 9, 11], [0, 0, 9, 11], [2, 3, 3, 4]])


def run(step: Step, clean: Tensor, changed: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Box and rows (h, w, K) of each window, by a step, from the clean map and each window's own (C, H, W)."""
    source = RowLayout(BOXES, (HEIGHT, WIDTH), torch.arange(len(BOXES)), torch.zeros(len(BOXES), dtype=torch.int64), 1)
    fills = torch.zeros(FILLS, clean.shape[0], dtype=clean.dtype)
    fills[LOWEST] = -torch.inf
    box, y, x = positions_in(BOXES)
    rows = torch.stack([changed[b][:, i, j] for b, i, j in zip(box.tolist(), y.tolist(), x.tolist(), strict=True)])
    table = torch.cat([clean.flatten(1).t(), fills, rows])
    target = step.layout([source])
    out = torch.empty(target.rows, channels(step, clean), dtype=clean.dtype)
    step.run([table], [rows], step.plan([source], target), out)
    areas = ((target.boxes[:, 2] - target.boxes[:, 0]) * (target.boxes[:, 3] - target.boxes[:, 1]))[target.order]
    results: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * len(BOXES)
    for window, part in zip(target.order.tolist(), out.split(areas.tolist()), strict=True):
        top, left, bottom, right = target.boxes[window].tolist()
        results[window] = target.boxes[window], part.view(bottom - top, right - left, -1)
    return results


def channels(step: Step, clean: Tensor) -> int:
    match step:
        case Linear(weight=weight):
            return int(weight.shape[1])
        case Winograd(kernel=kernel):
            return int(kernel.shape[2])
        case Slide(function=function) if "weight" in function.keywords:
            return len(function.keywords["weight"])
    return len(clean)


@pytest.mark.parametrize("kind", ["direct", "winograd", "pointwise", "stride", "max pool"])
def test_rows_of_the_boxes_are_those_of_whole_maps(kind: str) -> None:
    torch.manual_seed(0)
    module: nn.Module = {
        "direct": nn.Conv2d(3, 4, (3, 5), padding=(1, 2), stride=(1, 2), dilation=(2, 1)),
        "winograd": nn.Conv2d(3, 4, 3, padding=1),
        "pointwise": nn.Conv2d(3, 4, 1),
        "stride": nn.Conv2d(3, 4, 1, stride=2, bias=False),
        "max pool": nn.MaxPool2d(3, 2, padding=1),
    }[kind].double()
    clean = torch.randn(3, HEIGHT, WIDTH, dtype=torch.float64)
    changed = []
    for top, left, bottom, right in BOXES.tolist():
        changed.append(clean.clone())
        changed[-1][:, top:bottom, left:right] = torch.randn(3, bottom - top, right - left, dtype=torch.float64)
    step = step_of(kind, module, tuple(module(clean[None]).shape[2:]))
    for whole, ((top, left, bottom, right), rows) in zip(changed, run(step, clean, changed), strict=True):
        expected = module(whole[None])[0].detach()
        torch.testing.assert_close(rows.permute(2, 0, 1), expected[:, top:bottom, left:right], rtol=1e-12, atol=1e-12)
        outside = module(clean[None])[0].detach()
        outside[:, top:bottom, left:right] = expected[:, top:bottom, left:right]
        torch.testing.assert_close(outside, expected)  # nothing changes outside the box


def step_of(kind: str, module: nn.Module, shape: tuple[int, int]) -> Step:
    if kind == "max pool":
        function = partial(F.max_pool2d, kernel_size=(3, 3), stride=(2, 2), dilation=(1, 1))
        return Slide(function, SlidingKernel((3, 3), (2, 2), (1, 1)), shape, LOWEST)
    assert isinstance(module, nn.Conv2d)
    module.requires_grad_(False)
    sliding = SlidingKernel(module.kernel_size, module.stride, module.padding, module.dilation)  # type: ignore[arg-type]
    if kind == "winograd":
        return Winograd(winograd.transform_kernel(module.weight), module.bias, sliding, shape)
    if kind in ("pointwise", "stride"):
        return Linear(module.weight[:, :, 0, 0].t().contiguous(), module.bias, sliding, shape)
    function = partial(F.conv2d, weight=module.weight, bias=module.bias, stride=module.stride, dilation=module.dilation)
    return Slide(function, sliding, shape)
