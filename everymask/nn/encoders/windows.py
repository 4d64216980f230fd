"""Cutting a picture of tokens into square windows and putting it together again."""

from __future__ import annotations

from torch import Tensor


def window_grid(hw: tuple[int, int], size: int) -> tuple[int, int]:
    """How many windows cover ``hw`` down and across, the last ones overhanging.

    >>> window_grid((64, 64), 14)
    (5, 5)
    """
    return -(-hw[0] // size), -(-hw[1] // size)


def split_windows(x: Tensor, size: int, fill: Tensor | None = None) -> Tensor:
    """``x`` [B, H, W, C] as windows [B * n, size, size, C], row by row.

    Overhanging places hold ``fill`` [C] (zeros if None). The official trunks pad with zeros
    *before* qkv and do not mask the padding, so that padded keys take part in the softmax; filling
    qkv's output with qkv's bias gives those same keys without projecting them.
    """
    batch, height, width, channels = x.shape
    down, across = window_grid((height, width), size)
    if (down * size, across * size) != (height, width):
        x = _overhang(x, (down * size, across * size), fill)
    x = x.reshape(batch, down, size, across, size, channels)
    return x.transpose(2, 3).reshape(-1, size, size, channels)


def join_windows(windows: Tensor, grid: tuple[int, int], hw: tuple[int, int]) -> Tensor:
    """The picture [B, H, W, C] of ``hw`` from windows [B * n, size, size, C], overhang cut off."""
    size, channels = windows.shape[1], windows.shape[3]
    down, across = grid
    x = windows.reshape(-1, down, across, size, size, channels).transpose(2, 3)
    return x.reshape(-1, down * size, across * size, channels)[:, : hw[0], : hw[1]]


def _overhang(x: Tensor, hw: tuple[int, int], fill: Tensor | None) -> Tensor:
    batch, height, width, channels = x.shape
    base = x.new_zeros(channels) if fill is None else fill.to(x.dtype)
    padded = base.expand(batch, *hw, channels).clone()
    padded[:, :height, :width] = x
    return padded
