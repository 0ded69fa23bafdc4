"""Occlusion against Captum, and against its own dense engine."""

import argparse
from functools import partial

import torch
from bench_clock import Clock, Row, Work, compared, range_difference
from bench_material import operations, requested
from bench_peers import best_occlusion, captum_occlusion
from torch import Tensor, nn

from pipeline.engine.incremental.evaluator import IncrementalEvaluator
from pipeline.engine.occlusion_windows import Windows
from pipeline.methods import Occlusion
from pipeline.view import View

SAMPLED = 9
"""Windows whose values are compared with float64."""


def occlusion(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Occlusion with square windows.

    Captum is timed on a coarser grid, and this project on some rows of the grid's windows (one in ``--every``, at all
    alignments to the network's strides); both are scaled to the number of windows. Captum refuses strides beyond the
    window, so that the windows of a coarser grid are as large as its stride; its time for a window depends on neither.
    """
    module, images, target = requested(name, clock.device)
    window, stride, coarse = options.window, options.stride, options.captum_stride or options.stride
    wide = max(window, coarse)
    boxes, timed = _boxes(images, window, stride), _boxes(images, wide, coarse)
    some = boxes[boxes[:, 0] // stride % options.every == options.every // 2]
    baseline = torch.zeros_like(images)
    same = Occlusion(View(module, prepare=True), sliding_window_shapes=(3, wide, wide), strides=(3, coarse, coarse))
    engine = same.view.occluded.incremental(images, baseline, boxes, None)

    def ours() -> object:
        return engine.values(images, baseline, some) if engine else same(images, target)

    first = clock(ours)
    best = best_occlusion(clock, module, images)
    theirs = partial(captum_occlusion, module, images, target, wide, coarse)
    works: dict[str, Work] = {"ours": ours, "best": partial(theirs, best), "default": theirs}
    counts = {"ours": len(some) if engine else len(timed), "best": len(timed), "default": len(timed)}
    times = clock.in_turns({peer: works[peer] for peer in ("ours", *options.peers) if peer in works}, options.rounds)
    times = {peer: [len(boxes) / counts[peer] * value for value in values] for peer, values in times.items()}
    return {
        "work": f"occlusion {window}/{stride}", "network": name, "points": len(boxes), "points_timed": counts,
        "best_at": best, "first": first * len(boxes) / counts["ours"], **compared(times),
        "engine": "incremental" if engine else "dense",
        "difference": range_difference(same(images, target), theirs(best)),
        **_distances(module, images, boxes, target),
        "limit": len(boxes) * operations(module, images) / clock.rate(),
    }  # fmt: skip


def dense(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Occlusion as it chooses its engine against its own dense engine, on which no network should win."""
    module, images, target = requested(name, clock.device)
    window, strides = (3, options.window, options.window), (3, options.stride, options.stride)
    works: dict[str, Work] = {}
    for peer, engine in (("ours", "auto"), ("dense", "dense")):
        view = View(module, prepare=True, engine=engine)
        works[peer] = partial(Occlusion(view, sliding_window_shapes=window, strides=strides), images, target)
    maps = {peer: work() for peer, work in works.items()}
    return {
        "work": f"auto against dense {options.window}/{options.stride}", "network": name,
        **compared(clock.in_turns(works, options.rounds)), "difference": range_difference(maps["ours"], maps["dense"]),
    }  # fmt: skip


def _boxes(images: Tensor, window: int, stride: int) -> Tensor:
    """Top, left, bottom, right of every window (G, 4)."""
    shape = (3, images.shape[2], images.shape[3])
    boxes = Windows(shape, (3, window, window), (3, stride, stride), "keep").boxes()
    return boxes[:, 1:].transpose(1, 2).flatten(1)


def _distances(module: nn.Module, images: Tensor, boxes: Tensor, target: int) -> Row:
    """Distance of some windows' float32 values from float64, incremental and dense, as a share of the values' range."""
    few = boxes[torch.linspace(0, len(boxes) - 1, SAMPLED).long()]
    occluded = images.repeat(len(few), 1, 1, 1)
    for picture, (top, left, bottom, right) in zip(occluded, few.tolist(), strict=True):
        picture[:, top:bottom, left:right] = 0
    incremental = (
        IncrementalEvaluator(module, images).values(images, torch.zeros_like(images), few)[0, :, target].double()
    )
    with torch.no_grad():
        whole = torch.cat([module(picture[None])[:, target] for picture in occluded]).double()
        exact = torch.cat([module.double()(picture[None].double())[:, target] for picture in occluded])
    module.float()
    scale = exact.max() - exact.min()
    return {
        "off": float((incremental - exact).abs().max() / scale), "off_dense": float((whole - exact).abs().max() / scale)
    }  # fmt: skip
