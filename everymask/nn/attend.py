"""Attention in tiles that stay in the cache.

Letters: P pairs of a window (or picture) and a head, T tokens, D channels of a head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

# The largest piece of an attention matrix, in bytes. On a CPU it should stay in the caches: alone on the
# machine of docs/lab-notes.md ("Encoders") 1 to 16 MB are equally fast, next to other work 1 to 2 MB are.
TILE_BYTES_CPU = 2 * 2**20
TILE_BYTES_GPU = 512 * 2**20

LOG2_E = 1 / math.log(2)
"""Weights are exp2 of scores times this: on a CPU torch's exp2 takes half of the time of its exp, or less."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q·k / sqrt(D)) v: ``q`` and the answer [P, Tq, D], ``k`` and ``v`` [P, T, D].

    Torch's own kernel, save for bfloat16 on a CPU, which it takes in float32 inside: there two
    bfloat16 products around a softmax (float32 inside, as torch's is) take two thirds of the time.
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or torch.is_grad_enabled():
        # with three axes torch would take its unfused way, without a word
        return F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    scale, nothing = q.shape[-1] ** -0.5, q.new_zeros(1)
    q, keys, v = q.contiguous(), k.transpose(1, 2).contiguous(), v.contiguous()  # else copied per tile
    mixed = torch.empty_like(q)
    for pair, query in tiles(q, k.shape[1]):
        scores = torch.baddbmm(nothing, q[pair, query], keys[pair], beta=0, alpha=scale)
        torch.bmm(scores.softmax(-1), v[pair], out=mixed[pair, query])
    return mixed


def tiles(q: Tensor, keys: int) -> Iterator[tuple[slice, slice]]:
    """Slices of pairs and of queries of ``q`` [P, Tq, D] whose scores over ``keys`` keys fit in a tile.

    Put together in the order they come, the tiles' answers are those of all pairs and queries: a tile
    has either all the queries of some pairs, or some queries of one pair.
    """
    pairs, tokens = q.shape[:2]
    budget = (TILE_BYTES_CPU if q.device.type == "cpu" else TILE_BYTES_GPU) // q.element_size()
    together = max(budget // (tokens * keys), 1)
    queries = tokens if together > 1 else min(max(budget // keys, 1), tokens)
    for first in range(0, pairs, together):
        for start in range(0, tokens, queries):
            yield slice(first, first + together), slice(start, start + queries)
