"""Peak memory of Integrated Gradients, here and with Captum, each in a process of its own.

Steps are added up as they come, in both, so that few show what many take.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from bench_clock import Clock, Row
from bench_material import network, photographs, side
from bench_peers import captum_ig

from pipeline.methods import IntegratedGradients

IMAGES, CHUNK = 8, 64


def memory(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Peak resident megabytes of eight images at chunks of 64, and what they are beyond a process that does nothing."""
    peaks = {peer: _peak(name, peer, options) for peer in ("nothing", "ours", "captum")}
    beyond = {peer: peaks[peer] - peaks["nothing"] for peer in ("ours", "captum")}
    return {
        "work": f"memory of ig {options.n_steps}, 8 images, chunk 64", "network": name, "peak": peaks,
        "ratio": peaks["ours"] / peaks["captum"], "ratio_beyond": beyond["ours"] / beyond["captum"],
    }  # fmt: skip


def _peak(name: str, peer: str, options: argparse.Namespace) -> float:
    command = [sys.executable, str(Path(__file__)), name, peer, str(options.n_steps), options.device]
    return float(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def main(name: str, peer: str, n_steps: str, device: str) -> None:
    """Explains with one peer and prints the megabytes that it took at most."""
    torch.set_num_threads(1)
    module, images = network(name).to(device), photographs(IMAGES, side(name)).to(device)
    if peer == "ours":
        IntegratedGradients(module, n_steps=int(n_steps), internal_batch_size=CHUNK)(images, 0)
    elif peer == "captum":
        captum_ig(module, images, 0, int(n_steps), CHUNK)
    if device == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    else:
        peak = torch.cuda.max_memory_allocated() / 1e6
    sys.stdout.write(json.dumps(peak))


if __name__ == "__main__":
    main(*sys.argv[1:])
