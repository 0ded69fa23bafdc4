"""A model's faster copy: made when it is first asked, checked against the model, made anew when the model changed."""

import logging

import torch
from torch import Tensor, fx, nn

from pipeline.engine.prepare import CannotTrace, prepare
from pipeline.engine.state import hooked, weights_state
from pipeline.engine.stem import Stem, split

log = logging.getLogger(__name__)


class FastNetwork:
    """Values of a model by its prepared copy (see :mod:`pipeline.engine.prepare`), or by itself where that differs.

    The model itself is asked while it trains or carries hooks, and always if torch.fx cannot follow it.

    Args:
        model: (P, C, H, W) -> outputs.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._prepared: fx.GraphModule | None = None
        self._stem: Stem | None = None
        self._state: list[tuple[int, int]] | None = None

    def __call__(self, points: Tensor) -> Tensor:
        """Outputs of points (P, C, H, W)."""
        network = self.prepared(points)
        outputs: Tensor = (
            network(points.contiguous(memory_format=torch.channels_last)) if network else self.model(points)
        )
        return outputs

    def prepared(self, points: Tensor) -> fx.GraphModule | None:
        """The faster copy for points like these, or None where the model itself must be asked."""
        if self.model.training or hooked(self.model):
            return None
        state = weights_state(self.model)
        if state != self._state:
            self._prepared, self._state = _prepared(self.model, points), state
            self._stem = split(self._prepared) if self._prepared else None
        return self._prepared

    def stem(self, points: Tensor) -> Stem | None:
        """The copy's affine first layers and the rest, or None if there is no copy or its first layer is not affine."""
        return self._stem if self.prepared(points) else None


def _prepared(model: nn.Module, points: Tensor) -> fx.GraphModule | None:
    """The copy, if it can be made and answers as the model does."""
    try:
        copy = prepare(model).to(memory_format=torch.channels_last)
    except CannotTrace as reason:
        log.debug("the network is used as it is: %s", reason)
        return None
    with torch.no_grad():
        expected = model(points[:1])
        if not isinstance(expected, Tensor):
            return None  # an object with logits
        differs = (copy(points[:1]) - expected).abs().max() / expected.abs().max().clamp_min(
            torch.finfo(points.dtype).tiny
        )
    if differs > torch.finfo(points.dtype).eps ** 0.5:
        log.warning("the prepared network differs from the network by %.1e of its outputs: not used", differs)
        return None
    return copy
