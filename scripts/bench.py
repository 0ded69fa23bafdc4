"""This project against its peers: the same work, in one process, in turns, with the maps compared in the same run.

    python scripts/bench.py occlusion resnet18 vgg16 --window 15 --stride 8 --captum-stride 42
    python scripts/bench.py ig resnet50 --n-steps 50

Networks have random weights and the batch statistics of real photographs (EfficientNet-Lite0 is the trained one).
Times are process seconds on one thread, or seconds of the GPU with --device cuda; ratios are medians over the rounds.
Captum runs at its default and at the fastest of several sizes, which is found on a few windows or steps.
Each result is a line of JSON, printed, and with --results FILE added to a file; scripts/bench_page.py makes the page.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench_clock import Clock, Work, ratio
from bench_material import machine, network, operations, photographs, side, source
from bench_peers import best_ig, best_occlusion, captum_ig, captum_occlusion, zennit_ig
from torch import Tensor, nn

from pipeline.engine.geometry import Windows
from pipeline.engine.incremental import Incremental
from pipeline.methods import IntegratedGradients, Occlusion
from pipeline.view import View

Row = dict[str, Any]
SAMPLED = 9
"""Windows whose values are compared with float64."""


def occlusion(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Occlusion with square windows.

    Captum is timed on a coarser grid, and this project on some rows of the grid's windows (one in ``--every``, at all
    alignments to the network's strides); both are scaled to the number of windows. Captum refuses strides beyond the
    window, so that the windows of a coarser grid are as large as its stride; its time for a window depends on neither.
    """
    module, images, target = _asked(name, clock)
    window, stride, coarse = options.window, options.stride, options.captum_stride or options.stride
    wide = max(window, coarse)
    boxes, timed = _boxes(images, window, stride), _boxes(images, wide, coarse)
    some = boxes[boxes[:, 0] // stride % options.every == options.every // 2]
    baseline = torch.zeros_like(images)
    engine = Incremental(module, images)
    first = clock(lambda: engine.values(images, baseline, some))
    best = best_occlusion(clock, module, images)
    works: dict[str, Work] = {
        "ours": lambda: engine.values(images, baseline, some),
        "best": partial(captum_occlusion, module, images, target, wide, coarse, best),
        "default": partial(captum_occlusion, module, images, target, wide, coarse),
    }
    times = clock.in_turns(works, options.rounds)
    counts = {"ours": len(some), "best": len(timed), "default": len(timed)}
    times = {name: [len(boxes) / counts[name] * value for value in values] for name, values in times.items()}
    same = Occlusion(module, sliding_window_shapes=(3, wide, wide), strides=(3, coarse, coarse))(images, target)
    return {
        "work": f"occlusion {window}/{stride}", "network": name, "points": len(boxes), "points_timed": counts,
        "best_at": best, "first": first * len(boxes) / len(some), **_compared(times),
        "difference": _range_difference(same, works["best"]()), **_distances(module, images, boxes, target),
        "limit": len(boxes) * operations(module, images) / clock.rate(),
    }  # fmt: skip


def ig(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Integrated Gradients at the same Gauss-Legendre nodes."""
    module, images, target = _asked(name, clock)
    steps = options.n_steps
    method = IntegratedGradients(module, n_steps=steps)
    first = clock(lambda: method(images, target))
    best = best_ig(clock, module, images)
    works: dict[str, Work] = {
        "ours": lambda: method(images, target),
        "best": partial(captum_ig, module, images, target, steps, best),
        "default": partial(captum_ig, module, images, target, steps),
        "zennit": partial(zennit_ig, module, images, target, steps),
    }
    times = clock.in_turns(works, options.rounds)
    return {
        "work": f"ig {steps}", "network": name, "points": steps, "captum_points": steps, "best_at": best,
        "chunk": method.line.size, "first": first, **_compared(times),
        "difference": _range_difference(works["ours"](), works["best"]()),
        "limit": 2 * steps * operations(module, images) / clock.rate(),
    }  # fmt: skip


def dense(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Occlusion as it chooses its engine against its own dense engine, on which no network should win."""
    module, images, target = _asked(name, clock)
    shape = {
        "sliding_window_shapes": (3, options.window, options.window),
        "strides": (3, options.stride, options.stride),
    }
    methods = {engine: Occlusion(View(module, prepare=True, engine=engine), **shape) for engine in ("auto", "dense")}
    maps = {engine: method(images, target) for engine, method in methods.items()}
    times = clock.in_turns(
        {engine: partial(method, images, target) for engine, method in methods.items()}, options.rounds
    )
    return {
        "work": f"auto against dense {options.window}/{options.stride}", "network": name,
        "ours": statistics.median(times["auto"]), "dense": statistics.median(times["dense"]),
        "ratio_dense": ratio(times, "dense", "auto"), "difference": _range_difference(maps["auto"], maps["dense"]),
    }  # fmt: skip


def _asked(name: str, clock: Clock) -> tuple[nn.Module, Tensor, int]:
    module = network(name).to(clock.device)
    images = photographs(1, side(name)).to(clock.device)
    with torch.no_grad():
        return module, images, int(module(images).argmax())


def _boxes(images: Tensor, window: int, stride: int) -> Tensor:
    """Top, left, bottom, right of every window (G, 4)."""
    shape = (3, images.shape[2], images.shape[3])
    boxes = Windows(shape, (3, window, window), (3, stride, stride), "keep").boxes()
    return boxes[:, 1:].transpose(1, 2).flatten(1)


def _compared(times: dict[str, list[float]]) -> Row:
    peers = [name for name in times if name != "ours"]
    return {name: statistics.median(values) for name, values in times.items()} | {
        f"ratio_{peer}": ratio(times, peer, "ours") for peer in peers
    }


def _range_difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference of two maps, of the range of the second."""
    return float((found - expected).abs().max() / (expected.max() - expected.min()))


def _distances(module: nn.Module, images: Tensor, boxes: Tensor, target: int) -> Row:
    """How far float32 values of some windows are from float64, incrementally and whole, of the values' range."""
    few = boxes[torch.linspace(0, len(boxes) - 1, SAMPLED).long()]
    occluded = images.repeat(len(few), 1, 1, 1)
    for picture, (top, left, bottom, right) in zip(occluded, few.tolist(), strict=True):
        picture[:, top:bottom, left:right] = 0
    with torch.no_grad():
        whole = torch.cat([module(picture[None])[:, target] for picture in occluded]).double()
        exact = torch.cat([module.double()(picture[None].double())[:, target] for picture in occluded])
    module.float()
    incremental = Incremental(module, images).values(images, torch.zeros_like(images), few)[0, :, target].double()
    scale = exact.max() - exact.min()
    return {
        "off": float((incremental - exact).abs().max() / scale), "off_dense": float((whole - exact).abs().max() / scale)
    }  # fmt: skip


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


WORKS = {"occlusion": occlusion, "ig": ig, "dense": dense}


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """A row for each network."""
    clock = Clock(torch.device(options.device))
    for name in options.networks:
        yield WORKS[options.work](name, clock, options) | {
            "rounds": options.rounds, "machine": machine(clock.device), "data": source(), "rate": clock.rate(),
        }  # fmt: skip


def main() -> None:
    """Prints a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("networks", nargs="+", help="torchvision names, or efficientnet_lite0")
    parser.add_argument("--window", type=int, default=15)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--captum-stride", type=int, help="coarser grid on which Captum is timed; default: the same")
    parser.add_argument("--every", type=int, default=1, help="of how many rows of windows one is timed here")
    parser.add_argument("--n-steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, help="file that the rows are added to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for row in rows(options):
        line = json.dumps(
            {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}
        )
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if options.results:
            with options.results.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
