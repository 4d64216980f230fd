"""Attention to memories on a grid that are never projected to keys.

A key of SAM 2's memory attention is a projected memory token, ``W m + b`` of C = 256 channels, half of which
are turned by the token's column, half by its row (``rope.py``). With R_x, R_y these turns and q_a, q_b the
halves of a query, its score is

    q_a . R_x (W_a m + b_a) + q_b . R_y (W_b m + b_b) = u_x . (m, 1) + v_y . (m, 1)

with one vector u of D + 1 = 65 channels for each column and one v for each row of the grid, whatever the
frame. So a pair of query and token takes 2 * 65 multiplications instead of 256, and tokens are not projected;
u and v take (w + h) * 65 * C / 2 a query, once for all remembered frames.

Scores lie with the queries side by side, [token, query], tokens by row, frame, column. Then the tokens of a
row lie in one piece and those of a column at one distance from each other, so that both products write into
the same scores, the second one adding: 1.2 times as fast as projecting keys (docs/lab-notes.md).

Letters: L queries, C channels of a query, D of a memory, F frames on a grid h x w, P tokens without a place,
T = F * h * w + P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.nn.attend import LOG2_E
from everymask.nn.cores import on_all_cores
from everymask.nn.memory.rope import Rotation
from everymask.nn.products import product

QUERY_BLOCK = 384
TOKEN_BLOCK = 7168
"""At most so many queries, and about so many tokens, at once: what the last-level cache can hold (11 MB of
scores, 13 MB of vectors u and v)."""
LINE = 16
"""Numbers in a line of a cache: products of rows that begin within one are slower by a quarter."""
WORTH = 0.85
"""Turning queries has to save this much of the multiplications."""
MOST_WEIGHT = 1e30
"""Sums of weights stay below this; they start near 1."""


def worth_it(channels: int, memory_channels: int, grid_hw: tuple[int, int], tokens: int) -> bool:
    """Whether a query of so many channels takes fewer multiplications by axes than with projected keys.

    >>> worth_it(256, 64, (64, 64), 7 * 4096), worth_it(256, 64, (20, 20), 400)
    (True, False)
    """
    turning = sum(grid_hw) * memory_channels * channels / 2
    by_axes = tokens * 3 * memory_channels + turning
    return by_axes < WORTH * tokens * (channels + memory_channels)


def average_by_axes(
    queries: Tensor,  # [L, C], turned by their place
    keys: Tensor,  # [T, D] memory tokens with their position, the P without a place at the end
    values: Tensor,  # [T, D] memory tokens
    weight: Tensor,  # [C, D] of the key projection
    bias: Tensor,  # [C]
    rotation: Rotation,
    unplaced: int,  # P, at least 1
    *,
    product_dtype: torch.dtype | None = None,
) -> Tensor:
    """Averages of ``values`` weighted by softmax(q k^T / sqrt(C)), k the projected and turned keys: [L, D].

    For inference on a CPU, one head. Equal to :func:`everymask.nn.memory.softmax_product.softmax_product` of
    the projected keys but for rounding. ``product_dtype=torch.bfloat16`` does the large products in bfloat16.
    """
    memory = _arranged(keys, values, weight, bias, rotation, unplaced, product_dtype or queries.dtype)
    out = values.new_empty(len(queries), values.shape[-1])
    on_all_cores([partial(_block, queries[rows], memory, out[rows]) for rows in _blocks(len(queries))])
    return out


@dataclass(frozen=True)
class _Arranged:
    """Tokens by row, frame, column; everything that all queries share."""

    grid_hw: tuple[int, int]
    keys: Tensor  # [h * F * w, D + 1] with a 1 at the end; in low precision D + 2 with two
    values: Tensor  # [h * F * w, D + 1] with a 1 at the end: the last average is the sum of weights
    columns: Tensor  # [w * (D + 1), C / 2]: a query's first half -> its vector u for every column
    rows: Tensor  # [h * (D + 1), C / 2]: a query's second half -> its vector v for every row
    unplaced_keys: Tensor  # [P, C] projected, at least float32
    unplaced_values: Tensor  # [P, D + 1], at least float32


def _arranged(
    keys: Tensor,
    values: Tensor,
    weight: Tensor,
    bias: Tensor,
    rotation: Rotation,
    unplaced: int,
    inner: torch.dtype,
) -> _Arranged:
    height, width = rotation.grid_hw
    placed, half = len(keys) - unplaced, weight.shape[0] // 2
    wide = torch.promote_types(keys.dtype, torch.float32)
    keys, values, weight, bias = (x.to(wide) for x in (keys, values, weight, bias))
    scale = LOG2_E / math.sqrt(weight.shape[0])  # scores of powers of two
    projection = torch.cat([weight, bias[:, None]], dim=1) * scale  # [C, D + 1]
    ones = keys.new_ones(len(keys), 1)
    keys, values = torch.cat([keys, ones], dim=1), torch.cat([values, ones], dim=1)
    if inner != wide:
        # The maximum gets a channel of its own: in a row's bias it would be rounded differently row by row.
        projection, keys = F.pad(projection, (0, 1)), torch.cat([keys, ones], dim=1)

    def by_row(tokens: Tensor) -> Tensor:
        grids = tokens[:placed].reshape(-1, height, width, tokens.shape[-1])  # [F, h, w, D + 1]
        return grids.transpose(0, 1).reshape(placed, -1).to(inner)

    across, down = (turn.split(half // 2, dim=-1) for turn in (rotation.cos, rotation.sin))
    return _Arranged(
        (height, width),
        by_row(keys),
        by_row(values),
        _turned(projection[:half], across[0][:width], down[0][:width]).to(inner),
        _turned(projection[half:], across[1][::width], down[1][::width]).to(inner),
        keys[placed:] @ projection.T,
        values[placed:],
    )


def _turned(projection: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """A projection [C / 2, D + 1] turned by each of n places (cos, sin [n, C / 4]): [n * (D + 1), C / 2]."""
    even, odd = projection[0::2].T, projection[1::2].T  # [D + 1, C / 4]
    cos, sin = cos[:, None], sin[:, None]
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)  # [n, D + 1, C / 4, 2]
    return turned.reshape(-1, projection.shape[0])


def _blocks(length: int) -> list[slice]:
    """Queries in portions, about as many for each core, that fill the lines of a cache."""
    cores = torch.get_num_threads()
    portions = cores * math.ceil(length / (cores * QUERY_BLOCK))
    size = min(QUERY_BLOCK, LINE * math.ceil(length / (portions * LINE)))
    return [slice(start, start + size) for start in range(0, length, size)]


def _block(queries: Tensor, memory: _Arranged, out: Tensor) -> None:
    """The averages of some queries, [n, C] -> [n, D], into ``out``.

    The usual running maximum is subtracted within the products, as part of the row's bias. It is brought up
    to date only where sums of weights grow large: weights have the same exact digits whatever it is.
    """
    height, width = memory.grid_hw
    wide, inner = memory.unplaced_keys.dtype, memory.keys.dtype
    channels, n = memory.keys.shape[-1], len(queries)
    first, second = (half.contiguous() for half in queries.to(inner).chunk(2, dim=1))  # [n, C / 2]
    by_column = product(memory.columns, first, None).view(width, channels, n)  # u
    by_row = product(memory.rows, second, None).view(height, channels, n)  # v
    scores = memory.unplaced_keys @ queries.T.to(wide)  # [P, n]
    peak = scores.amax(dim=0).to(inner).to(wide)
    total = memory.unplaced_values.T @ scores.sub_(peak).exp2_()  # [D + 1, n]
    by_row[:, -1] -= peak
    frames = len(memory.keys) // (height * width)
    at_once = min(height, max(1, TOKEN_BLOCK // (frames * width)))
    room = queries.new_empty(at_once * frames * width, n, dtype=inner)
    for top in range(0, height, at_once):
        rows = by_row[top : top + at_once]
        tokens = slice(top * frames * width, (top + len(rows)) * frames * width)
        keys, values = memory.keys[tokens], memory.values[tokens]
        scores = _scores(keys, by_column, rows, room[: len(keys)])
        grown = total + values.T @ scores.exp2_()
        if not grown[-1].max() < MOST_WEIGHT:
            scores = _scores(keys, by_column, rows, room[: len(keys)])
            higher = (peak + scores.amax(dim=0).clamp_(min=0)).to(inner).to(wide)
            by_row[:, -1] -= higher - peak
            faded = total * torch.exp2(peak - higher)
            grown = faded + values.T @ scores.sub_(higher - peak).exp2_()
            peak = higher
        total = grown
    out.copy_((total[:-1] / total[-1]).T)


def _scores(keys: Tensor, by_column: Tensor, rows: Tensor, room: Tensor) -> Tensor:
    """Scores [R * F * w, n] of the tokens of R rows, into ``room``: u_x . k + v_y . k."""
    width, channels, n = by_column.shape
    torch.bmm(keys.view(len(rows), -1, channels), rows, out=room.view(len(rows), -1, n))
    across = keys.view(-1, width, channels).transpose(0, 1)  # [w, R * F, D + 1]
    room.view(-1, width, n).transpose(0, 1).baddbmm_(across, by_column)
    return room
