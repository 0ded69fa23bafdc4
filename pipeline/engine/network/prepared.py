"""Prepared copy of a model: traced, batch norm folded, Winograd's convolutions, compiled if requested."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, fx, nn

from pipeline.engine.chunked_evaluator import is_out_of_memory
from pipeline.engine.network.affine_stem import AffineStem, split_affine_stem
from pipeline.engine.network.equivalence import (
    require_independent_rows,
    require_near,
    require_same,
    require_same_outputs,
    response,
)
from pipeline.engine.network.guarded import Batches, GuardedCopy
from pipeline.engine.network.prepare import simplify
from pipeline.engine.network.trace import NETWORK_ERRORS, trace
from pipeline.engine.network.winograd_layer import use_winograd
from pipeline.errors import UsageError


class Prepared(NamedTuple):
    """A prepared network.

    Attributes:
        network: (P, C, H, W), channels last -> outputs.
        stem: Its affine first layers and the rest; None if its first operation is not affine.
    """

    network: nn.Module
    stem: AffineStem | None


class FastNetwork:
    """Outputs of a model, by its prepared copy where that is equivalent, else by the model itself.

    Args:
        model: (P, C, H, W) -> outputs.
        compile: A backend of ``torch.compile`` for the copy, such as ``inductor`` or ``cudagraphs``; each size of
            a chunk is compiled separately.

    Raises:
        ValueError: PyTorch has no such backend.
    """

    def __init__(self, model: nn.Module, *, compile: str | None = None) -> None:
        if compile is not None and compile not in (known := torch.compiler.list_backends(exclude_tags=())):
            raise ValueError(f"compile must be one of {', '.join(known)}, not {compile!r}")
        self.model, self.compile = model, compile
        self._copy = GuardedCopy[Prepared](model, otherwise="the network is evaluated without a faster copy")

    def __call__(self, points: Tensor) -> Tensor:
        """Return the outputs for points (P, C, H, W)."""
        network = self.prepared(points)
        if network is None:
            return self.model(points)  # type: ignore[no-any-return] # as any network
        return network(points.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    def prepared(self, points: Tensor) -> nn.Module | None:
        """Return the copy for points like these, or None where the model itself has to be evaluated.

        Raises:
            UsageError: It cannot be compiled.
        """
        copy = self._copy.get(points, lambda batches: self._built(points, batches))
        return copy and copy.network

    def stem(self, points: Tensor) -> AffineStem | None:
        """Return the copy's affine first layers and the rest; None without a copy or where its first is not affine."""
        copy = self._copy.get(points, lambda batches: self._built(points, batches))
        return copy and copy.stem

    def _built(self, points: Tensor, batches: Batches) -> Prepared:
        graph = trace(self.model)
        expected = [response(self.model, batch) for batch in batches]
        for batch, own in zip(batches, expected, strict=True):
            require_same(response(graph, batch), own)
        require_independent_rows(self.model, batches, [own.outputs for own in expected])
        copy = simplify(graph)
        if self.compile is None:
            use_winograd(copy)
        stem = split_affine_stem(copy)
        batches = tuple(batch.contiguous(memory_format=torch.channels_last) for batch in batches)
        for batch, own in zip(batches, expected, strict=True):
            require_same_outputs(copy(batch.clone()), own.outputs, batch)
        in_parts = copy if stem is None else nn.Sequential(stem.layers, stem.rest)
        require_near(response(in_parts, batches[-1]), expected[-1])
        return self._compiled(copy, stem, points) if self.compile else Prepared(copy, stem)

    def _compiled(self, copy: fx.GraphModule, stem: AffineStem | None, points: Tensor) -> Prepared:
        """Compile the copy for chunks of as many points as these, and the stem's rest for when it is first run."""
        network = _compile(copy, str(self.compile))
        try:
            outputs = network(points.clone(memory_format=torch.channels_last))
        except NETWORK_ERRORS as error:
            if is_out_of_memory(error):
                raise
            raise UsageError(f"engine.compile={self.compile}: {' '.join(str(error).split()[:40])}") from error
        require_same_outputs(outputs, self.model(points.clone()), points)
        return Prepared(network, stem and AffineStem(stem.layers, _compile(stem.rest, str(self.compile))))


def _compile(network: nn.Module, backend: str) -> nn.Module:
    return cast("nn.Module", torch.compile(network, backend=backend, dynamic=False))
