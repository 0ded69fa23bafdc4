"""Activations of convolutional networks and transformers are brought into one layout, (N, K, h, w)."""

import pytest
import torch

from pipeline.engine.activation_layout import channels_first


@pytest.mark.parametrize(
    ("shape", "image", "expected"),
    [
        ((1, 512, 14, 14), (224, 224), (1, 512, 14, 14)),
        ((1, 14, 14, 512), (224, 224), (1, 512, 14, 14)),
        ((1, 512, 2, 3), (64, 72), (1, 512, 2, 3)),
        ((1, 40, 1, 1), (224, 224), (1, 40, 1, 1)),
        ((2, 196, 5), (224, 224), (2, 5, 14, 14)),
        ((2, 197, 5), (224, 224), (2, 5, 14, 14)),
        ((2, 198, 5), (224, 224), (2, 5, 14, 14)),  # distillation
        ((2, 261, 5), (224, 224), (2, 5, 16, 16)),  # four registers
        ((2, 73, 5), (64, 72), (2, 5, 8, 9)),
    ],
)
def test_shape(shape: tuple[int, ...], image: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert channels_first(shape, image)(torch.zeros(shape)).shape == expected


@pytest.mark.parametrize("shape", [(1, 10), (1, 150, 5), (1, 3, 4, 5, 6)])
def test_activations_without_positions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^layer: "):
        channels_first(shape, (224, 224))


def test_values_of_a_position_stay_at_it() -> None:
    last = torch.randn(2, 4, 6, 5)  # (N, h, w, K)
    assert torch.equal(channels_first(last.shape, (16, 24))(last)[1, 3, 2, 4], last[1, 2, 4, 3])
    tokens = torch.randn(2, 1 + 24, 5)  # (N, class token and patches row by row, K)
    assert torch.equal(channels_first(tokens.shape, (16, 24))(tokens)[1, 3, 2, 4], tokens[1, 1 + 2 * 6 + 4, 3])
