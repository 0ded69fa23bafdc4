"""EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946) with ReLU6 and no squeeze-and-excitation.

Plain layers only, so that torch.fx traces it and every layer can be named.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn


class Stage(NamedTuple):
    """A stage of blocks, one row of the architecture's table; its first block has the stride and changes the width.

    Attributes:
        repeats: Number of blocks.
        kernel: Side of the depthwise kernel, in pixels.
        stride: Of the first block; the others have 1.
        expansion: Hidden channels for each input channel.
        width: Output channels.
    """

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM, HEAD = 32, 1280
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class ConvolutionUnit(nn.Sequential):
    """Convolution with TensorFlow's `same` padding, batch normalisation and, if ``activate``, ReLU6.

    At stride 2 `same` pads an even height or width by kernel - 2 in total, the smaller half before.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if stride == 2:
            front, back = (kernel - 2) // 2, (kernel - 1) // 2
            layers["pad"] = nn.ZeroPad2d((front, back, front, back))
        padding = 0 if stride == 2 else kernel // 2
        layers["conv"] = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        layers["norm"] = nn.BatchNorm2d(outputs, eps=1e-3)
        if activate:
            layers["relu"] = nn.ReLU6()
        super().__init__(layers)


class InvertedResidual(nn.Sequential):
    """Expand, depthwise convolution, project, and add the input where shapes allow (arXiv:1801.04381)."""

    def __init__(self, inputs: int, stage: Stage, *, stride: int) -> None:
        hidden = inputs * stage.expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if stage.expansion != 1:
            layers["expand"] = ConvolutionUnit(inputs, hidden)
        layers["depthwise"] = ConvolutionUnit(hidden, hidden, kernel=stage.kernel, stride=stride, groups=hidden)
        layers["project"] = ConvolutionUnit(hidden, stage.width, activate=False)
        super().__init__(layers)
        self.residual = stride == 1 and inputs == stage.width

    def forward(self, images: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, stage.width, H / stride, W / stride)."""
        outputs: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return images + outputs if self.residual else outputs


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0, 224 pixels, 4.7 million parameters; with more repeats of the stages, Lite1.

    For heights and widths that are multiples of 32 the outputs are TensorFlow's; others are padded differently there.
    """

    def __init__(self, n_outputs: int = 1000, stages: Iterable[Stage] = STAGES) -> None:
        super().__init__()
        self.stem = ConvolutionUnit(3, STEM, kernel=3, stride=2)
        self.blocks = nn.Sequential()
        width = STEM
        for stage in stages:
            for stride in (stage.stride, *[1] * (stage.repeats - 1)):
                self.blocks.append(InvertedResidual(width, stage, stride=stride))
                width = stage.width
        self.head = ConvolutionUnit(width, HEAD)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(HEAD, n_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, n_outputs)."""
        logits: Tensor = self.classifier(self.flatten(self.pool(self.head(self.blocks(self.stem(images))))))
        return logits
