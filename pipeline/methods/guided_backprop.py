"""Deconvolution and guided backpropagation: gradients rectified on their way back through a ReLU."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from torch import Tensor, nn

from pipeline.engine.geometry import Geometry
from pipeline.engine.network.rectified_backward import RectifiedBackward
from pipeline.methods.method import Attribution
from pipeline.methods.saliency import Saliency
from pipeline.view import View

log = logging.getLogger(__name__)


class Deconvolution(Saliency):
    """Gradient at the image, where the backward pass of every ReLU passes the positive part of the gradient.

    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks" (arXiv 1311.2901), as Springenberg
    et al. 2015 (arXiv 1412.6806), figure 1, write it. ReLU and ReLU6 are rewritten, as modules and as functions; other
    non-linearities keep their gradient, and a warning names them.

    Args:
        model: A network in eval mode, or a view of one.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: While explaining, if the network calls no ReLU: the map would be the plain gradient.
    """

    where_active: ClassVar[bool] = False

    def __init__(self, model: nn.Module | View, *, internal_batch_size: int | None = None) -> None:
        super().__init__(model, abs=False, internal_batch_size=internal_batch_size)
        self._warned = False

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        with self._rectified():
            return super().explain(images, targets, scores=scores, seeds=seeds)

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        with self._rectified():
            self.view.probe(shape)
        return super().geometry(shape, channels)

    @contextmanager
    def _rectified(self) -> Iterator[None]:
        with RectifiedBackward(where_active=self.where_active) as mode:
            yield
        name, others = type(self).__name__, ", ".join(sorted(mode.others))
        if not mode.rewritten:
            seen = f"its non-linearities are {others}" if others else "none was seen (TorchScript hides them)"
            raise ValueError(
                f"{name} rewrites ReLU and ReLU6, and the network calls neither: {seen}; use another method"
            )
        if others and not self._warned:
            self._warned = True
            log.warning("%s: %s of this network keep their plain gradient", name, others)


class GuidedBackprop(Deconvolution):
    """Gradient at the image, where every ReLU passes positive gradients, and only where it was active.

    Springenberg et al. 2015, "Striving for Simplicity" (arXiv 1412.6806), section 3.4. For what is rewritten, see
    :class:`Deconvolution`.

    Args:
        model: A network in eval mode, or a view of one.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: While explaining, if the network calls no ReLU: the map would be the plain gradient.
    """

    where_active: ClassVar[bool] = True
