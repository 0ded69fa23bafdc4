"""EfficientNet-Lite0 by the table of its paper, and TensorFlow's `same` padding."""

import pytest
import torch
from torch.nn import functional as F

from pipeline.models.efficientnet_lite import STAGES, ConvolutionUnit, EfficientNetLite0, InvertedResidual, Stage


def test_parameters_blocks_and_strides_are_those_of_the_table() -> None:
    network = EfficientNetLite0().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008
    assert len(network.blocks) == sum(stage.repeats for stage in STAGES) == 16
    with torch.no_grad():
        features = network.blocks(network.stem(torch.zeros(1, 3, 64, 96)))
    assert features.shape == (1, 320, 2, 3)  # 1/32 of height and width


def test_other_stages_and_outputs() -> None:
    stages = [stage._replace(repeats=1) for stage in STAGES]
    network = EfficientNetLite0(7, stages).eval()
    assert len(network.blocks) == 7
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", [8, 16])
def test_the_padding_at_stride_2_is_tensorflows_same(kernel: int, side: int) -> None:
    torch.manual_seed(0)
    unit, images = ConvolutionUnit(2, 4, kernel=kernel, stride=2).eval(), torch.randn(1, 2, side, side)
    total = max((side // 2 - 1) * 2 + kernel - side, 0)  # TensorFlow: (outputs - 1) * stride + kernel - inputs
    before = total // 2
    padded = F.pad(images, (before, total - before) * 2)
    torch.testing.assert_close(unit.conv(unit.pad(images)), F.conv2d(padded, unit.conv.weight, stride=2))


@pytest.mark.parametrize(("width", "stride", "residual"), [(8, 1, True), (8, 2, False), (12, 1, False)])
def test_the_input_is_added_where_shapes_allow(width: int, stride: int, residual: bool) -> None:
    block = InvertedResidual(8, Stage(1, 3, stride, 6, width), stride=stride).eval()
    torch.nn.init.zeros_(block.project.norm.weight)
    images = torch.randn(2, 8, 6, 6)
    outputs = block(images)
    assert outputs.shape == (2, width, 6 // stride, 6 // stride)
    assert torch.equal(outputs, images if residual else torch.zeros_like(outputs))
