"""A small network whose scores are linear in the channels' means, with outputs of any form."""

from torch import Tensor, nn


class Network(nn.Module):
    """Returns ``form`` of K linear scores of the channels' means; takes nothing but 16 x 16 pixels if ``fixed``."""

    def __init__(self, form=lambda scores: scores, outputs: int = 5, fixed: bool = False) -> None:
        super().__init__()
        self.form, self.fixed = form, fixed
        self.norm, self.linear = nn.BatchNorm2d(3), nn.Linear(3, outputs)

    def forward(self, images: Tensor) -> object:
        if self.fixed and images.shape[-2:] != (16, 16):
            raise ValueError("expected 16 x 16\nand a second line")
        return self.form(self.linear(self.norm(images).mean((2, 3))))
