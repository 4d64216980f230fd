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
    """``x`` [B, H, W, C] as windows [B, down, across, size, size, C], a view where none overhangs.

    Overhanging places hold ``fill`` [C] (zeros if None). The official trunks pad with zeros
    *before* qkv and do not mask the padding, so that padded keys take part in the softmax; filling
    qkv's output with qkv's bias gives those same keys without projecting them.
    """
    down, across = window_grid((x.shape[1], x.shape[2]), size)
    if (down * size, across * size) != x.shape[1:3]:
        x = _overhang(x, (down * size, across * size), fill)
    return x.unflatten(2, (across, size)).unflatten(1, (down, size)).transpose(2, 3)


def join_windows(windows: Tensor, hw: tuple[int, int]) -> Tensor:
    """The picture [B, H, W, ...] of ``hw`` from windows [B, down, across, size, size, ...]."""
    x = windows.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x[:, : hw[0], : hw[1]]


def _overhang(x: Tensor, hw: tuple[int, int], fill: Tensor | None) -> Tensor:
    batch, height, width, channels = x.shape
    base = x.new_zeros(channels) if fill is None else fill.to(x.dtype)
    padded = base.expand(batch, *hw, channels).clone()
    padded[:, :height, :width] = x
    return padded
