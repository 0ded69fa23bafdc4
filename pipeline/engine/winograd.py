"""Convolution of 3 x 3 by Winograd's F(2 x 2, 3 x 3): 16 products for four outputs instead of 36.

Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016, equations 7 to 12. It adds
and subtracts few values before each product, so that its rounding error is near that of the direct sum.
"""

import torch
from torch import Tensor

BLOCK_TILES = 256
"""Tiles transformed at once: enough rows for a fast matrix product, few enough to stay in the cache."""


def transform_kernel(weight: Tensor) -> Tensor:
    """Kernel (K, C, 3, 3) as the 16 matrices (16, C, K) of the transformed domain, computed in float64."""
    g = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
    wide = weight.detach().to("cpu", torch.float64)
    kernel = torch.einsum("ia,kcab,jb->ijck", g, wide, g)
    return kernel.reshape(16, *kernel.shape[2:]).to(weight)


def _input(tiles: Tensor, scratch: Tensor) -> None:
    """In place B^T d B over the two leading axes of tiles (4, 4, T, C)."""
    for source, target in ((tiles, scratch), (scratch.transpose(0, 1), tiles.transpose(0, 1))):
        torch.sub(source[0], source[2], out=target[0])
        torch.add(source[1], source[2], out=target[1])
        torch.sub(source[2], source[1], out=target[2])
        torch.sub(source[1], source[3], out=target[3])


def _output(products: Tensor, half: Tensor, out: Tensor) -> None:
    """A^T m A over the two leading axes of products (4, 4, T, K) into out (2, 2, T, K); products are overwritten."""
    for source, target in ((products, half), (half.transpose(0, 1), out.transpose(0, 1))):
        torch.add(source[1], source[2], out=target[0])
        target[0].add_(source[0])
        torch.sub(source[1], source[2], out=target[1])
        target[1].sub_(source[3])


def convolve(table: Tensor, index: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Outputs (4, T, K) of T tiles of 2 x 2, whose 4 x 4 inputs are rows of ``table``.

    Args:
        table: (S, C) rows.
        index: (16, T) row of each input of each tile, the 16 inputs in reading order.
        kernel: (16, C, K) of :func:`transform_kernel`.
        bias: (K,) or None.
    """
    channels, filters = kernel.shape[1:]
    tiles = index.shape[1]
    block = min(tiles, BLOCK_TILES)
    inputs, scratch = table.new_empty(2, 16 * block * channels)
    products, half = table.new_empty(16 * block * filters), table.new_empty(8 * block * filters)
    out = table.new_empty(4, tiles, filters)
    for first in range(0, tiles, block):
        count = min(block, tiles - first)
        taken, spare, product = (
            buffer[: 16 * count * width].view(16, count, width)
            for buffer, width in ((inputs, channels), (scratch, channels), (products, filters))
        )
        torch.index_select(table, 0, index[:, first : first + count].reshape(-1), out=taken.view(-1, channels))
        _input(taken.view(4, 4, count, channels), spare.view(4, 4, count, channels))
        torch.bmm(taken, kernel, out=product)
        if bias is not None:
            product[5] += bias  # enters each of the four outputs with weight one
        halves = half[: 8 * count * filters].view(2, 4, count, filters)
        _output(product.view(4, 4, count, filters), halves, out[:, first : first + count].view(2, 2, count, filters))
    return out
