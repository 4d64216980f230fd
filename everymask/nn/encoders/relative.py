"""Attention with SAM's decomposed relative positions, its bias never held for all queries at once.

The bias of query (y, x) on key (y', x') is q·Rh[y - y'] + q·Rw[x - x'] (Li et al. 2022, MViTv2,
eq. 4). Written out, it is as large as the attention matrix: 805 MB per global block of ViT-B at
1024 px. The two summands are small; their sum is made for one tile of queries at a time.

Letters: P pairs of a window (or picture) and a head, h x w tokens (T = h · w of them), D channels
of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.nn.attend import tiles


def relative_table(table: Tensor, side: int) -> Tensor:
    """The embedding of every offset between a query and a key along an axis of ``side`` tokens.

    Parameters
    ----------
    table
        [2 · s - 1, D], offsets -(s - 1) .. s - 1; stretched linearly where ``s`` is not ``side``.

    Returns
    -------
    [side, side, D], entry (i, j) for query i and key j: offset i - j.

    >>> relative_table(torch.tensor([[-1.0], [0.0], [1.0]]), 2)[..., 0].tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    offsets = 2 * side - 1
    if len(table) != offsets:
        stretched = F.interpolate(table.float().t()[None], size=offsets, mode="linear")
        table = stretched[0].t().to(table.dtype)
    place = torch.arange(side, device=table.device)
    return table[place[:, None] - place[None, :] + side - 1]


def relative_bias(q: Tensor, table_h: Tensor, table_w: Tensor, hw: tuple[int, int]) -> Tensor:
    """q·Rh + q·Rw of all queries and keys at once, ``q`` [P, T, D] -> [P, T, T]: the plain form's bias."""
    pairs, tokens, _ = q.shape
    bias_h, bias_w = _bias_by_axis(q, table_h, table_w, hw)
    bias = bias_h[..., :, None] + bias_w[..., None, :]  # [P, h, w, h, w]
    return bias.reshape(pairs, tokens, tokens)


def _bias_by_axis(
    q: Tensor, table_h: Tensor, table_w: Tensor, hw: tuple[int, int]
) -> tuple[Tensor, Tensor]:  # [P, h, w, h], [P, h, w, w]
    grid_q = q.reshape(q.shape[0], hw[0], hw[1], q.shape[-1])
    bias_h = torch.einsum("pyxd,yjd->pyxj", grid_q, relative_table(table_h, hw[0]))
    return bias_h, torch.einsum("pyxd,xjd->pyxj", grid_q, relative_table(table_w, hw[1]))


def attend_relative(
    q: Tensor, k: Tensor, v: Tensor, table_h: Tensor, table_w: Tensor, hw: tuple[int, int]
) -> Tensor:
    """softmax(q·k / sqrt(D) + q·Rh + q·Rw) v: all of ``q``, ``k``, ``v`` and the answer [P, T, D].

    P counts pairs of a window and a head. ``table_h`` [2 · s - 1, D] and ``table_w`` are read by
    :func:`relative_table` for ``hw``, with h · w = T.
    """
    tokens = q.shape[1]
    q, v = q.contiguous(), v.contiguous()  # once, rather than in every tile
    bias_h, bias_w = (bias.flatten(1, 2) for bias in _bias_by_axis(q, table_h, table_w, hw))
    scale, keys, mixed = q.shape[-1] ** -0.5, k.transpose(1, 2).contiguous(), torch.empty_like(q)
    for pair, query in tiles(q, tokens):
        scores = (bias_h[pair, query, :, None] + bias_w[pair, query, None, :]).flatten(-2)
        scores.baddbmm_(q[pair, query], keys[pair], alpha=scale)
        mixed[pair, query] = torch.bmm(scores.softmax(-1), v[pair])
    return mixed
