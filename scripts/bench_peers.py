"""The peers: the same work by other libraries, and Captum at its fastest."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from bench_clock import Clock
from captum.attr import IntegratedGradients, Occlusion
from torch import Tensor, nn
from zennit.attribution import IntegratedGradients as ZennitIntegratedGradients

PERTURBATIONS_PER_EVAL = (1, 4, 8, 16, 32)
INTERNAL_BATCH_SIZE = (4, 8, 16, 32, 64)


def captum_occlusion(
    module: nn.Module, images: Tensor, target: int, window: int, stride: int, perturbations_per_eval: int = 1
) -> Tensor:
    """Captum's Occlusion with square windows over all channels and a baseline of zero."""
    maps: Tensor = Occlusion(module).attribute(
        images, (3, window, window), (3, stride, stride), baselines=0, target=target,
        perturbations_per_eval=perturbations_per_eval,
    )  # fmt: skip
    return maps


def captum_ig(module: nn.Module, images: Tensor, target: int, n_steps: int, size: int | None = None) -> Tensor:
    """Captum's Integrated Gradients with a baseline of zero; ``size`` is its internal_batch_size."""
    maps: Tensor = IntegratedGradients(module).attribute(
        images, baselines=0, target=target, n_steps=n_steps, internal_batch_size=size
    )
    return maps


def zennit_ig(module: nn.Module, images: Tensor, target: int, n_steps: int) -> Tensor:
    """Zennit's Integrated Gradients (right-hand sums, one node after the other) with a baseline of zero."""

    def chosen(outputs: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor([target]), outputs.shape[1]).to(outputs)

    with ZennitIntegratedGradients(module, n_iter=n_steps) as attributor:
        maps: Tensor = attributor(images, chosen)[1]
    return maps


def fastest(clock: Clock, sizes: Sequence[int], work: Callable[[int], tuple[Callable[[], object], int]]) -> int:
    """The size with the least seconds a point.

    Args:
        clock: Measures.
        sizes: What to try, ascending, until two in a row are slower.
        work: For each size, the work and the number of points at which it evaluates the network.
    """
    tried: dict[int, float] = {}
    for size in sizes:
        evaluate, points = work(size)
        tried[size] = clock(evaluate) / points
        if min(list(tried.values())[-2:]) > min(tried.values()):
            break
    return min(tried, key=tried.__getitem__)


def best_occlusion(clock: Clock, module: nn.Module, images: Tensor) -> int:
    """Fastest perturbations_per_eval on a few windows."""
    size = images.shape[-1]

    def work(count: int) -> tuple[Callable[[], object], int]:
        across = 4 if count < 32 else 6  # windows along each side: whole chunks, or nearly
        window = -(-size // across)
        return partial(captum_occlusion, module, images, 0, window, window, count), across**2

    return fastest(clock, PERTURBATIONS_PER_EVAL, work)


def best_ig(clock: Clock, module: nn.Module, images: Tensor) -> int:
    """Fastest internal_batch_size on a few steps."""

    def work(size: int) -> tuple[Callable[[], object], int]:
        steps = max(8, size)
        return partial(captum_ig, module, images, 0, steps, size), steps

    return fastest(clock, INTERNAL_BATCH_SIZE, work)
