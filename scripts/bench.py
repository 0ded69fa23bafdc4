"""This project against its peers: the same work, in one process, in turns, with the maps compared in the same run.

    python scripts/bench.py occlusion resnet18 vgg16 --window 15 --stride 8 --captum-stride 56 --every 5
    python scripts/bench.py ig resnet50 --n-steps 50
    python scripts/bench.py memory resnet50 --n-steps 16
    python scripts/bench_page.py results.jsonl docs/benchmarks.md docs/benchmarks.svg

Networks have random weights and the batch statistics of real photographs (EfficientNet-Lite0 is the trained one).
Times are process seconds on one thread, or seconds of the GPU with --device cuda; ratios are medians over the rounds.
Captum runs at its default and at the fastest of several sizes, which is found on a few windows or steps.
Each result is a line of JSON, printed, and with --results FILE added to a file.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from bench_clock import Clock
from bench_gradients import grad_cam, ig, saliency
from bench_growth import growth
from bench_material import machine, source
from bench_memory import memory
from bench_occlusion import dense, occlusion
from bench_run import whole

WORKS = {
    "occlusion": occlusion, "dense": dense, "ig": ig, "saliency": saliency, "grad_cam": grad_cam,
    "growth": growth, "memory": memory, "pipeline": whole,
}  # fmt: skip


def main() -> None:
    """Prints a row for each network."""
    options = _options()
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    clock = Clock(torch.device(options.device))
    for name in options.networks:
        row = WORKS[options.work](name, clock, options) | {
            "rounds": options.rounds, "machine": machine(clock.device), "data": source(), "rate": clock.rate(),
        }  # fmt: skip
        line = json.dumps(_rounded(row)) + "\n"
        sys.stdout.write(line)
        sys.stdout.flush()
        if options.results:
            with options.results.open("a") as file:
                file.write(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("networks", nargs="+", help="torchvision names, or efficientnet_lite0")
    parser.add_argument("--window", type=int, default=15)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--captum-stride", type=int, help="coarser grid on which Captum is timed; default: the same")
    parser.add_argument("--every", type=int, default=1, help="of how many rows of windows one is timed here")
    parser.add_argument("--n-steps", type=int, default=50)
    parser.add_argument("--layer", default="layer4", help="of grad_cam")
    parser.add_argument("--images", type=int, default=16, help="of pipeline")
    parser.add_argument("--peers", nargs="*", default=["best", "default", "zennit"], help="of occlusion and ig")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, help="file that the rows are added to")
    return parser.parse_args()


def _rounded(value: object) -> object:
    """Floats to four digits, however deep."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
