"""Growth of the seconds with windows, steps, images and the side of the image, here and with Captum."""

import argparse
from functools import partial
from typing import Any

from bench_clock import Clock, Row
from bench_material import network, photographs
from bench_peers import captum_ig, captum_occlusion

from pipeline.methods import IntegratedGradients, Occlusion

CHUNK = 8
"""Of Captum; near its best on the CPUs that were tried."""


def growth(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Seconds of both at growing work; all else stays."""
    module = network(name).to(clock.device)
    found: dict[str, Any] = {}
    points = {
        **{f"windows {across**2}": (Occlusion, across, 1, 224) for across in (4, 7, 14)},
        **{f"steps {steps}": (IntegratedGradients, steps, 1, 224) for steps in (8, 16, 32)},
        **{f"images {images}": (IntegratedGradients, 8, images, 224) for images in (1, 2, 4)},
        **{f"pixels {size}": (IntegratedGradients, 8, 1, size) for size in (112, 160, 224)},
    }
    for label, (kind, amount, count, size) in points.items():
        images = photographs(count, size).to(clock.device)
        if kind is Occlusion:
            width = size // amount
            method: Any = Occlusion(module, sliding_window_shapes=(3, width, width), strides=(3, width, width))
            theirs = partial(captum_occlusion, module, images, 0, width, width, CHUNK)
        else:
            method = IntegratedGradients(module, n_steps=amount, internal_batch_size=CHUNK)
            theirs = partial(captum_ig, module, images, 0, amount, CHUNK)
        method(images, 0)
        times = clock.in_turns({"ours": partial(method, images, 0), "captum": theirs}, options.rounds)
        found[label] = {peer: sorted(values)[len(values) // 2] for peer, values in times.items()}
    return {"work": "growth", "network": name, "seconds": found}
