"""Gradient methods against Captum, Zennit and TorchCAM."""

import argparse
from functools import partial

import torch
from bench_clock import Clock, Row, Work, compared, range_difference
from bench_material import operations, photographs, requested, side
from bench_peers import best_ig, captum_ig, zennit_ig
from captum.attr import LayerGradCam as CaptumGradCam
from captum.attr import Saliency as CaptumSaliency
from torchcam.methods import GradCAM

from pipeline.methods import IntegratedGradients, LayerGradCam, Saliency


def ig(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Integrated Gradients at the same Gauss-Legendre nodes."""
    module, images, target = requested(name, clock.device)
    steps = options.n_steps
    method = IntegratedGradients(module, n_steps=steps)
    first = clock(lambda: method(images, target))
    best = best_ig(clock, module, images)
    works: dict[str, Work] = {
        "ours": partial(method, images, target),
        "best": partial(captum_ig, module, images, target, steps, best),
        "default": partial(captum_ig, module, images, target, steps),
        "zennit": partial(zennit_ig, module, images, target, steps),
    }
    times = clock.in_turns({peer: works[peer] for peer in ("ours", *options.peers) if peer in works}, options.rounds)
    return {
        "work": f"ig {steps}", "network": name, "points": steps, "best_at": best, "chunk": method.evaluator.size,
        "first": first, **compared(times), "difference": range_difference(works["ours"](), works["best"]()),
        "limit": 2 * steps * operations(module, images) / clock.rate(),
    }  # fmt: skip


def saliency(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """The gradient of eight photographs."""
    module, _, target = requested(name, clock.device)
    images = photographs(8, side(name)).to(clock.device)
    works: dict[str, Work] = {
        "ours": partial(Saliency(module), images, target),
        "best": partial(CaptumSaliency(module).attribute, images, target),
    }
    maps = {peer: work() for peer, work in works.items()}
    return {
        "work": "saliency", "network": name, **compared(clock.in_turns(works, options.rounds)),
        "difference": range_difference(maps["ours"], maps["best"]),
    }  # fmt: skip


def grad_cam(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Grad-CAM of eight photographs at a layer; TorchCAM too, whose maps are made positive and scaled to 1."""
    module, _, target = requested(name, clock.device)
    images = photographs(8, side(name)).to(clock.device)
    layer = module.get_submodule(options.layer)
    method, theirs = LayerGradCam(module, layer=options.layer), CaptumGradCam(module, layer)

    def captum() -> torch.Tensor:
        maps: torch.Tensor = theirs.attribute(images, target)
        return torch.nn.functional.interpolate(maps, images.shape[2:])

    def torchcam() -> None:
        with GradCAM(module, options.layer) as cam:
            cam([target] * len(images), module(images))

    works: dict[str, Work] = {"ours": partial(method, images, target), "best": captum, "torchcam": torchcam}
    maps = method(images, target), captum()
    torchcam()
    return {
        "work": f"grad_cam {options.layer}", "network": name, **compared(clock.in_turns(works, options.rounds)),
        "difference": range_difference(maps[0][:, :1], maps[1]),
    }  # fmt: skip
