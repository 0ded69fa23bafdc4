"""A model's faster copy: made when it is first asked, checked against the model, made anew when the model changed."""

import logging
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.engine.chunked_evaluator import is_out_of_memory
from pipeline.engine.network.affine_stem import AffineStem, split_affine_stem
from pipeline.engine.network.prepare import CannotTrace, prepare
from pipeline.engine.network.state import hooked, weights_state
from pipeline.engine.network.winograd_layer import use_winograd
from pipeline.errors import UsageError

log = logging.getLogger(__name__)


class FastNetwork:
    """Outputs of a model, by its prepared copy (:mod:`pipeline.engine.network.prepare`) where that gives the same.

    The model itself is asked while it trains or carries hooks, and always if torch.fx cannot follow it.

    Args:
        model: (P, C, H, W) -> outputs.
        compile: A backend of ``torch.compile`` for the copy, such as ``inductor`` or ``cudagraphs``; each size of
            a chunk is compiled by itself.

    Raises:
        ValueError: PyTorch has no such backend.
    """

    def __init__(self, model: nn.Module, *, compile: str | None = None) -> None:
        if compile is not None and compile not in (known := torch.compiler.list_backends(exclude_tags=())):
            raise ValueError(f"compile must be one of {', '.join(known)}, not {compile!r}")
        self.model, self.compile = model, compile
        self._prepared: nn.Module | None = None
        self._stem: AffineStem | None = None
        self._state: list[tuple[int, int]] | None = None

    def __call__(self, points: Tensor) -> Tensor:
        """Outputs of points (P, C, H, W)."""
        network = self.prepared(points)
        if network is None:
            return self.model(points)  # type: ignore[no-any-return] # as any network
        return network(points.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    def prepared(self, points: Tensor) -> nn.Module | None:
        """The faster copy for points like these, or None where the model itself must be asked.

        Raises:
            UsageError: It cannot be compiled.
        """
        if self.model.training or hooked(self.model):
            return None
        state = weights_state(self.model)
        if state != self._state:
            self._state, (self._prepared, self._stem) = state, self._made(points)
        return self._prepared

    def stem(self, points: Tensor) -> AffineStem | None:
        """The copy's affine first layers and the rest, or None if there is no copy or its first layer is not affine."""
        return self._stem if self.prepared(points) is not None else None

    def _made(self, points: Tensor) -> tuple[nn.Module | None, AffineStem | None]:
        """The copy and its stem, if it can be made and answers as the model does."""
        try:
            copy = prepare(self.model).to(memory_format=torch.channels_last)
        except CannotTrace as reason:
            log.debug("the network is used as it is: %s", reason)
            return None, None
        if self.compile is None:
            use_winograd(copy)
        stem, network = split_affine_stem(copy), cast("nn.Module", copy)
        if self.compile is not None:
            network = _compiled(copy, self.compile)
            stem = stem and AffineStem(stem.layers, _compiled(stem.rest, self.compile))
        return (network, stem) if self._agrees(network, points) else (None, None)

    def _agrees(self, network: nn.Module, points: Tensor) -> bool:
        with torch.no_grad():
            points = points[: len(points) if self.compile else 1]  # no part of the graph that a caller builds
            expected = self.model(points)
            if not isinstance(expected, Tensor):
                return False  # an object with logits
            try:
                found = network(points)
            except RuntimeError as error:  # as those of the compiler are
                if self.compile is None or is_out_of_memory(error):
                    raise
                raise UsageError(f"engine.compile={self.compile}: {' '.join(str(error).split()[:40])}") from error
            differs = (found - expected).abs().max() / expected.abs().max().clamp_min(torch.finfo(points.dtype).tiny)
        if differs > torch.finfo(points.dtype).eps ** 0.5:
            log.warning("the prepared network differs from the network by %.1e of its outputs: not used", differs)
            return False
        return True


def _compiled(network: nn.Module, backend: str) -> nn.Module:
    return cast("nn.Module", torch.compile(network, backend=backend, dynamic=False))
