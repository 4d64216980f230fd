"""softmax(q k^T / sqrt(d)) v without ever holding the whole score matrix, for values narrower than keys.

PyTorch's fused attention wants keys and values of one width; in SAM 2's memory attention the values have
64 channels and the keys 256. On a CPU the loop below runs at the speed of its matrix products
(1.4 times faster than the fused kernel on 28,736 keys, see docs/lab-notes.md).
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.nn.attend import LOG2_E
from everymask.nn.cores import on_all_cores

QUERY_BLOCK = 1024
SMALLEST_BLOCK = 256
KEY_BLOCK = 512
"""A block of scores (2 MB) stays in the second-level cache between its two products."""


def softmax_product(
    q: Tensor,  # [H, L, d]
    k: Tensor,  # [H, T, d]
    v: Tensor,  # [T, D], shared by the heads
    *,
    added: Tensor | None = None,  # [1, T], to every query's scores
    product_dtype: torch.dtype | None = None,
) -> Tensor:
    """Averages of ``v`` by the softmax of ``q k^T / sqrt(d) + added``: [H, L, D]. For inference only.

    >>> v = torch.tensor([[1.0], [3.0]])
    >>> softmax_product(torch.zeros(1, 1, 4), torch.zeros(1, 2, 4), v).item()
    2.0
    """
    if q.device.type != "cpu":
        shared = v.expand(len(q), -1, -1)
        return F.scaled_dot_product_attention(q[None], k[None], shared[None], added)[0]
    inner = product_dtype or q.dtype
    wide = torch.promote_types(v.dtype, torch.float32)  # of sums and of the softmax
    q, k = (q * (LOG2_E / math.sqrt(q.shape[-1]))).to(inner), k.to(inner)
    values = v.to(inner)
    more = None if added is None else (added * LOG2_E).to(inner)
    out = v.new_empty(len(q), q.shape[1], v.shape[-1])
    on_all_cores(
        [
            partial(_rows, q[head, rows], k[head], values, more, out[head, rows], wide)
            for head in range(len(q))
            for rows in _blocks(q.shape[1])
        ]
    )
    return out


def _blocks(length: int) -> list[slice]:
    """Queries in portions that leave no core without one."""
    size = max(SMALLEST_BLOCK, min(QUERY_BLOCK, -(-length // torch.get_num_threads())))
    return [slice(start, start + size) for start in range(0, length, size)]


def _rows(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, out: Tensor, wide: torch.dtype) -> None:
    """Blockwise softmax with a running maximum (Milakov & Gimelshein 2018; Dao et al. 2022), into ``out``."""
    peak = torch.full((len(q), 1), -math.inf, dtype=wide)
    mass = torch.zeros(len(q), 1, dtype=wide)  # the sum of all weights
    total = torch.zeros(len(q), v.shape[-1], dtype=wide)
    room = q.new_empty(len(q), min(KEY_BLOCK, len(k)))  # used over and over: it stays in the cache
    for first in range(0, len(k), KEY_BLOCK):
        keys, values = k[first : first + KEY_BLOCK], v[first : first + KEY_BLOCK]
        block = room[:, : len(keys)]  # [<=1024, <=512]
        if added is None:
            scores = torch.mm(q, keys.T, out=block).to(wide)
        else:
            scores = torch.addmm(added[:, first : first + KEY_BLOCK], q, keys.T, out=block).to(wide)
        higher = torch.maximum(peak, scores.amax(dim=-1, keepdim=True))
        faded = torch.exp2(peak - higher)
        weights = scores.sub_(higher).exp2_()
        mass.mul_(faded).add_(weights.sum(dim=-1, keepdim=True))
        total.mul_(faded)
        if v.dtype == wide:
            total.addmm_(weights, values)
        else:
            total += weights.to(v.dtype) @ values
        peak = higher
    out.copy_(total.div_(mass))
