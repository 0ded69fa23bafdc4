"""Winograd's convolution of 3 x 3, F(2 x 2, 3 x 3): 16 products for four outputs instead of 36.

Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, equations 7 to 12. It adds
and subtracts few values before each product, and then adds up fewer products: measured in float32, its rounding error
is 0.9 (AMD EPYC) to 2.6 times (Intel Xeon with AVX-512) that of oneDNN's direct convolution, below 5e-7 of the norm.
"""

import torch
from torch import Tensor, nn

CHANNELS = 96
"""Fewest channels, in and out, for which it was faster than oneDNN's direct convolution on one thread."""
BLOCK_TILES = 256
"""Tiles that a thread transforms at once: enough rows for a fast matrix product, few enough to stay in the cache."""
Order = tuple[int, int, int, int]
FORWARD, BACKWARD = (0, 1, 2, 3), (3, 1, 2, 0)
"""Row, and column, of the kernel's transform that belongs to each of the tile's."""


def is_faster(convolution: nn.Conv2d) -> bool:
    """Return whether Winograd's algorithm applies to a convolution, but for its padding, and is faster.

    Only in float32 (the transforms lose digits that bfloat16 and float16 do not have, and oneDNN's float64 convolution
    was not measured) and on a CPU (on a GPU cuDNN chooses the algorithm).
    """
    kind = (convolution.kernel_size, convolution.stride, convolution.dilation, convolution.groups)
    if kind != ((3, 3), (1, 1), (1, 1), 1) or convolution.padding_mode != "zeros":
        return False
    weight = convolution.weight
    wide = min(convolution.in_channels, convolution.out_channels) >= CHANNELS
    return wide and weight.dtype == torch.float32 and weight.device.type == "cpu"


def transform_kernel(weight: Tensor) -> Tensor:
    """Transform a kernel (K, C, 3, 3) into its 16 matrices (16, C, K), G g G^T of each pair of channels, in float64."""
    g = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
    wide = weight.detach().to("cpu", torch.float64).permute(2, 3, 1, 0)
    kernel = torch.kron(g, g) @ wide.flatten(2).flatten(0, 1)
    return kernel.view(16, *wide.shape[2:]).to(weight)


def convolve(table: Tensor, index: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Return the outputs (4, T, K) of T tiles of 2 x 2, whose 4 x 4 inputs are rows of ``table``.

    Args:
        table: (S, C) rows.
        index: (16, T) row of each input of each tile, the 16 inputs in reading order.
        kernel: (16, C, K) of :func:`transform_kernel`.
        bias: (K,) or None.
    """
    channels, tiles = kernel.shape[1], index.shape[1]
    blocks = _Blocks(table, kernel, bias=bias, tiles=min(tiles, BLOCK_TILES), order=FORWARD)
    out = table.new_empty(4, tiles, kernel.shape[2])
    for first in range(0, tiles, BLOCK_TILES):
        block = slice(first, min(first + BLOCK_TILES, tiles))
        count = block.stop - first
        taken = blocks.inputs[: 16 * count * channels].view(4, 4, count, channels)
        torch.index_select(table, 0, index[:, block].reshape(-1), out=taken.view(-1, channels))
        blocks.run(taken, out[:, block].unflatten(0, (2, 2)))
    return out


def convolve_maps(maps: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve maps with a padding of one, (N, C, H, W) -> (N, K, H, W), channels last.

    Args:
        maps: (N, C, H, W), of any layout.
        kernel: (16, C, K) of :func:`transform_kernel`.
        bias: (K,) or None.
    """
    return _over_blocks(maps, kernel, bias=bias, order=FORWARD)


def input_gradients(gradients: Tensor, kernel: Tensor) -> Tensor:
    """Return the vector-Jacobian product of :func:`convolve_maps`, (N, K, H, W) -> (N, C, H, W).

    That is a convolution with the kernel turned by 180 degrees, and the transform of that one is the kernel's own with
    the first and the last row and column exchanged.

    Args:
        gradients: (N, K, H, W), of any layout.
        kernel: (16, C, K) of :func:`transform_kernel`.
    """
    return _over_blocks(gradients, kernel.transpose(1, 2), bias=None, order=BACKWARD)


def _over_blocks(maps: Tensor, kernel: Tensor, *, bias: Tensor | None, order: Order) -> Tensor:
    """Convolve maps (N, C, H, W) in blocks of tiles that fit the cache: several images, or some rows of one."""
    count, channels, height, width = maps.shape
    down, across = -(-height // 2), -(-width // 2)
    tiles = BLOCK_TILES * torch.get_num_threads()
    images, rows = min(count, max(1, tiles // (down * across))), min(down, max(1, tiles // across))
    blocks = _Blocks(maps, kernel, bias=bias, tiles=images * rows * across, order=order)
    padded = maps.new_zeros(images, 2 * down + 2, 2 * across + 2, channels)
    out = maps.new_empty(count, 2 * down, 2 * across, kernel.shape[2])
    inputs, outputs = _tiles(padded, 4), _tiles(out, 2)  # tiles of 4 x 4 inputs overlap, those of 2 x 2 outputs do not
    for first in range(0, count, images):
        some = maps[first : first + images].permute(0, 2, 3, 1)
        padded[: len(some), 1 : height + 1, 1 : width + 1] = some
        for row in range(0, down, rows):
            block = slice(row, row + rows)
            blocks.run(inputs[:, :, : len(some), block], outputs[:, :, first : first + images, block])
    return out[:, :height, :width].permute(0, 3, 1, 2)  # an odd side has one more row of outputs than needed


def _tiles(rows: Tensor, side: int) -> Tensor:
    """Return the tiles at every second position of (N, H, W, C), as a view (side, side, N, down, across, C)."""
    return rows.unfold(1, side, 2).unfold(2, side, 2).permute(4, 5, 0, 1, 2, 3)


class _Blocks:
    """Buffers for blocks of tiles, and the transforms from one to the next.

    Args:
        like: Of the type and device of the buffers.
        kernel: (16, C, K).
        bias: (K,) or None.
        tiles: Of the largest block.
        order: `FORWARD` or `BACKWARD`.
    """

    def __init__(self, like: Tensor, kernel: Tensor, *, bias: Tensor | None, tiles: int, order: Order) -> None:
        channels, filters = kernel.shape[1:]
        self.kernel, self.bias, self._order = kernel, bias, order
        self.inputs, self._half = like.new_empty(2, 16 * tiles * channels)
        self._products, self._half_out = like.new_empty(16 * tiles * filters), like.new_empty(8 * tiles * filters)

    def run(self, tiles: Tensor, out: Tensor) -> None:
        """Transform tiles (4, 4, ..., C), which may be a view of :attr:`inputs`, into ``out`` (2, 2, ..., K)."""
        _, channels, filters = self.kernel.shape
        size, shape = tiles[0, 0].numel() // channels, tiles.shape[2:-1]
        first, second, third, last = self._order
        taken, half = (
            buffer[: 16 * size * channels].view(4, 4, *shape, channels) for buffer in (self.inputs, self._half)
        )
        for source, target in ((tiles, half), (half.transpose(0, 1), taken.transpose(0, 1))):  # B^T d B
            torch.sub(source[0], source[2], out=target[first])
            torch.add(source[1], source[2], out=target[second])
            torch.sub(source[2], source[1], out=target[third])
            torch.sub(source[1], source[3], out=target[last])
        products = self._products[: 16 * size * filters].view(16, size, filters)
        torch.bmm(taken.view(16, size, channels), self.kernel, out=products)
        if self.bias is not None:
            products[5] += self.bias  # enters each of the four outputs with weight one
        sums = self._half_out[: 8 * size * filters].view(2, 4, *shape, filters)
        for source, target in (
            (products.view(4, 4, *shape, filters), sums),
            (sums.transpose(0, 1), out.transpose(0, 1)),
        ):
            torch.add(source[second], source[third], out=target[0])  # A^T m A
            target[0].add_(source[first])
            torch.sub(source[second], source[third], out=target[1])
            target[1].sub_(source[last])
