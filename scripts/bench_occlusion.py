"""Occlusion by the incremental engine against Captum, in one process, on one thread, in process time.

Captum's cost a window depends neither on the window's size nor on the stride, so it may be timed on a coarser grid
(``--captum-stride``, with windows at least as large) and scaled to the number of windows; the maps of that grid are
compared. Captum runs at its default (one window at a time) and at the fastest of several ``perturbations_per_eval``.
Rounds are interleaved; medians are printed.

    python scripts/bench_occlusion.py resnet18 vgg16 --window 15 --stride 8 --captum-stride 42
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import captum
import torch
import torchvision
from captum.attr import Occlusion
from torch import Tensor, nn

from pipeline.engine.incremental import Incremental
from pipeline.models.efficientnet_lite import EfficientNetLite0

PERTURBATIONS_PER_EVAL = (1, 4, 8, 16, 32, 64)


def network(name: str, size: int) -> nn.Module:
    """A network with random weights and batch statistics of random images, in eval mode."""
    torch.manual_seed(0)
    extra = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    module = EfficientNetLite0() if name == "efficientnet_lite0" else torchvision.models.get_model(name, **extra)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the statistics of the images alone, without the initial ones
    with torch.no_grad():
        module.train()(torch.randn(8, 3, size, size))
    return module.eval()


def grid(size: int, window: int, stride: int) -> Tensor:
    """Boxes (G, 4) of Captum's windows on a square image, the last ones clipped."""
    starts = [step * stride for step in range(math.ceil((size - window) / stride) + 1)]
    return torch.tensor([[y, x, min(y + window, size), min(x + window, size)] for y in starts for x in starts])


def assemble(clean: Tensor, values: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Map (H, W): mean over the windows that cover a pixel of how far each lowers the target's logit."""
    total, count = torch.zeros(2, size, size, dtype=torch.float64)
    for value, (top, left, bottom, right) in zip(values, boxes.tolist(), strict=True):
        total[top:bottom, left:right] += (clean - value).double()
        count[top:bottom, left:right] += 1
    mean: Tensor = total / count
    return mean


def seconds(work: Callable[[], object]) -> float:
    """Process time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, window: int, stride: int, captum_stride: int, rounds: int, chunk: int) -> str:
    """One row of the table."""
    size = 299 if name == "inception_v3" else 224
    module = network(name, size)
    image = torch.randn(1, 3, size, size)
    baseline, boxes = torch.zeros_like(image), grid(size, window, stride)
    captum_window = max(window, captum_stride)
    coarse = grid(size, captum_window, captum_stride)

    def peer(perturbations_per_eval: int) -> Tensor:
        attributions: Tensor = Occlusion(module).attribute(
            image, (3, captum_window, captum_window), (3, captum_stride, captum_stride), baselines=0, target=0,
            perturbations_per_eval=perturbations_per_eval,
        )  # fmt: skip
        return attributions

    engine = Incremental(module, image, internal_batch_size=chunk)
    found = engine.values(image, baseline, coarse)[0, :, 0]
    with torch.no_grad():
        ours = assemble(module(image)[0, 0], found, coarse, size)
    theirs = peer(16)[0, 0].double()
    difference = float((ours - theirs).abs().max() / (theirs.max() - theirs.min()))
    first = seconds(lambda: engine.values(image, baseline, boxes))
    tried = {count: seconds(partial(peer, count)) for count in PERTURBATIONS_PER_EVAL}
    best = min(tried, key=tried.__getitem__)
    times: dict[str, list[float]] = {"ours": [], "best": [tried[best]], "default": [tried[1]]}
    for _ in range(rounds):
        times["ours"].append(seconds(lambda: engine.values(image, baseline, boxes)))
        times["best"].append(seconds(lambda: peer(best)))
        times["default"].append(seconds(lambda: peer(1)))
    scale = len(boxes) / len(coarse)
    mine = statistics.median(times["ours"])
    tuned, default = (statistics.median(times[key]) * scale for key in ("best", "default"))
    return (
        f"| {name} | {window}/{stride} | {len(boxes)} | {mine:.2f} | {first:.2f} | {tuned:.2f} (at {best}) "
        f"| {default:.2f} "
        f"| {tuned / mine:.2f} | {tuned / first:.2f} | {default / mine:.2f} | {difference:.1e} |"
    )


def main() -> None:
    """Print the versions and a table with one row a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="torchvision names, or efficientnet_lite0")
    parser.add_argument("--window", type=int, default=15)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--captum-stride", type=int, help="coarser grid on which Captum is timed; default: the same")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=16, help="windows that the engine computes together")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, captum {captum.__version__}, ", end="")
    print(f"{torch.get_num_threads()} thread, float32, process seconds, medians of {options.rounds} interleaved rounds")
    print("| network | window/stride | windows | ours | first image | Captum at its best | Captum's default ", end="")
    print("| ratio to best | first image to best | ratio to default | largest difference, of the map's range |")
    print("|" + "---|" * 11, flush=True)
    for name in options.networks:
        coarse = options.captum_stride or options.stride
        print(compare(name, options.window, options.stride, coarse, options.rounds, options.chunk), flush=True)


if __name__ == "__main__":
    main()
