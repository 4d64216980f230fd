"""Attention in tiles that stay in the cache.

Letters: N windows or pictures, K heads, P = N · K pairs of them, T tokens, D channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

# The largest piece of an attention matrix, in bytes. On a CPU it should stay in the cache that the
# cores share; 1 to 16 MB are equally fast on the machine of docs/lab-notes.md ("Encoders").
TILE_BYTES_CPU = 8 * 2**20
TILE_BYTES_GPU = 512 * 2**20


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q·k / sqrt(D)) v: ``q`` and the answer [N, K, Tq, D], ``k`` and ``v`` [N, K, T, D].

    Torch's own kernel, save for bfloat16 on a CPU, which it takes in float32 inside: there two
    bfloat16 products around a softmax (float32 inside, as torch's is) take two thirds of the time.
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    scale = q.shape[-1] ** -0.5
    queries, keys, values = q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), v.flatten(0, 1)
    nothing = q.new_zeros(1)
    pieces = []
    for pair, query in tiles(queries, keys.shape[2]):
        scores = torch.baddbmm(nothing, queries[pair, query], keys[pair], beta=0, alpha=scale)
        pieces.append(torch.bmm(scores.softmax(-1), values[pair]).flatten(0, 1))
    return torch.cat(pieces).view(q.shape)


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
