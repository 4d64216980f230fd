"""Cutting a picture of tokens into square windows and heads, and putting it together again.

Letters: B images, H x W tokens, C channels, K heads, D = C / K; P = B · down · across · K pairs of a
window and a head.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def window_grid(hw: tuple[int, int], size: int) -> tuple[int, int]:
    """How many windows cover ``hw`` down and across, the last ones overhanging.

    >>> window_grid((64, 64), 14)
    (5, 5)
    """
    # not -(-h // size): exporters of a traced size divide towards zero
    return (hw[0] + size - 1) // size, (hw[1] + size - 1) // size


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


def window_partition(x: Tensor, window_size: int) -> tuple[Tensor, tuple[int, int]]:
    """``x`` [B, H, W, C] as windows [B · down · across, s, s, C], zeros where they overhang; and
    height and width that the windows cover. For plain forms: in operations that exporters know."""
    batch, height, width, channels = x.shape
    down, across = window_grid((height, width), window_size)
    covered = down * window_size, across * window_size
    if covered != (height, width):
        x = F.pad(x, (0, 0, 0, covered[1] - width, 0, covered[0] - height))
    windows = x.view(batch, down, window_size, across, window_size, channels).transpose(2, 3)
    return windows.reshape(-1, window_size, window_size, channels), covered


def window_unpartition(
    windows: Tensor, window_size: int, pad_hw: tuple[int, int], hw: tuple[int, int]
) -> Tensor:
    """The picture [B, H, W, C] of ``hw`` from the windows of :func:`window_partition`."""
    channels, (down, across) = windows.shape[-1], (pad_hw[0] // window_size, pad_hw[1] // window_size)
    x = windows.reshape(-1, down, across, window_size, window_size, channels).transpose(2, 3)
    return x.reshape(-1, *pad_hw, channels)[:, : hw[0], : hw[1]]


def split_heads(windows: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, each [P, h, w, D], of ``windows`` [B, down, across, h, w, 3 C].

    At most one copy: views where there is a single window.
    """
    parts = windows.unflatten(-1, (3, heads, -1)).permute(5, 0, 1, 2, 6, 3, 4, 7)
    q, k, v = parts.flatten(1, 4)
    return q, k, v


def join_heads(mixed: Tensor, grid: tuple[int, int], heads: int, hw: tuple[int, int]) -> Tensor:
    """The picture [B, H, W, C] of ``hw`` from [P, h, w, D], windows ``grid`` (down, across); one copy."""
    windows = mixed.unflatten(0, (-1, *grid, heads)).permute(0, 1, 2, 4, 5, 3, 6)
    return join_windows(windows, hw).flatten(-2)


def _overhang(x: Tensor, hw: tuple[int, int], fill: Tensor | None) -> Tensor:
    batch, height, width, channels = x.shape
    base = x.new_zeros(channels) if fill is None else fill.to(x.dtype)
    padded = base.expand(batch, *hw, channels).clone()
    padded[:, :height, :width] = x
    return padded
