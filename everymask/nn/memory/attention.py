"""Memory attention: the features of a frame look at what is remembered of earlier frames.

Letters: B objects, L = h * w tokens of the frame, F remembered frames, T memory tokens: those with a place on
the memory's grid, frame by frame (F * L in SAM 2), then those without one (object pointers, the latents of
EdgeTAM that see a whole memory), C channels of the frame, D of a memory token (64 in SAM 2), H heads.
Attribute names are those of the official checkpoints (``memory_attention.layers.0.self_attn.q_proj...``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.attend import attend
from everymask.nn.memory.by_axes import average_by_axes, worth_it
from everymask.nn.memory.pooling import Pooling, pooled, pooled_keys, worth_pooling
from everymask.nn.memory.rope import Rotation, grid_rotation, rotate
from everymask.nn.memory.softmax_product import softmax_product
from everymask.nn.products import linear
from everymask.nn.touched import untouched

ON_CPU = (torch.float32, torch.float64, torch.bfloat16)
TOKENS_AT_ONCE = {"cpu": 1024, "other": 8192}
"""So many tokens go through the wide linear layers together: on a CPU their 8 MB of hidden values stay in the
cache (SAM 2, 4096 tokens: 52 instead of 75 ms a layer)."""


class RotaryAttention(nn.Module):
    """Attention with rotary positions; keys and values may have fewer channels than queries.

    In the fast form (``nn/touched.py``) the values are averaged *before* their projection: softmax weights
    sum to one, so ``P (M Wv + b) = (P M) Wv + b``, and a memory token has 4 times fewer channels than its
    projection.
    """

    PARTS: ClassVar = {"q_proj": nn.Linear, "k_proj": nn.Linear, "v_proj": nn.Linear, "out_proj": nn.Linear}

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 1,
        key_channels: int | None = None,
        dropout: float = 0.0,
        inner: int | None = None,
        pooling: Pooling | None = None,
    ):
        """``inner``: channels within attention, where others than those of queries; ``pooling``: keys are
        looked at in cells (``nn/memory/pooling.py``)."""
        super().__init__()
        self.pooling = pooling
        key_channels, inner = key_channels or channels, inner or channels
        self.heads = heads
        self.dropout = dropout
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(key_channels, inner)
        self.v_proj = nn.Linear(key_channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    @property
    def usual(self) -> bool:
        return not (self.training and self.dropout) and not _autocasts()

    def forward(
        self,
        queries: Tensor,  # [B, L, C], or [1, L, C] shared by all objects
        keys: Tensor,  # [B, T, D]
        values: Tensor,  # [B, T, D]
        rotation: Rotation,  # of queries
        *,
        key_rotation: Rotation | None = None,  # of keys, if their grid is another one
        unplaced: int = 0,  # the last so many keys have no place on the grid
        product_dtype: torch.dtype | None = None,
    ) -> Tensor:
        fast = untouched(self, queries, keys, values)
        projected = linear(queries, self.q_proj) if fast else self.q_proj(queries)
        q = rotate(self._split(projected), rotation)  # [B, H, L, C / H]
        rotation = key_rotation or rotation
        if not fast:
            k = self._rotated_keys(self.k_proj(keys), rotation, unplaced)
            v = self._split(self.v_proj(values))
            q = q.expand(len(k), -1, -1, -1)
            k, v, added = self._in_cells(k, v, rotation, unplaced)
            dropout = self.dropout if self.training else 0.0
            return self.out_proj(_join(F.scaled_dot_product_attention(q, k, v, added, dropout_p=dropout)))
        alike = values.shape[-1] == queries.shape[-1] and self.heads == 1
        if alike and self.pooling is None:  # nothing to gain from averaging first
            k = self._rotated_keys(linear(keys, self.k_proj), rotation, unplaced)
            v = self._split(linear(values, self.v_proj))
            inner = product_dtype or q.dtype
            mixed = attend(*(x[:, 0].to(inner) for x in (q, k, v)))  # [B, L, C]
            return linear(mixed.to(q.dtype), self.out_proj)
        # One object at a time: its projected keys are large (29 MB for SAM 2) and used once.
        averaged = torch.cat(
            [
                self._averaged(q[b % len(q)], keys[b], values[b], rotation, unplaced, product_dtype)[None]
                for b in range(len(keys))
            ]
        )  # [B, H, L, D]
        return linear(self._project_values(averaged), self.out_proj)

    def _averaged(
        self,
        q: Tensor,  # [H, L, C / H]
        keys: Tensor,  # [T, D]
        values: Tensor,  # [T, D]
        rotation: Rotation,
        unplaced: int,
        product_dtype: torch.dtype | None,
    ) -> Tensor:
        """One object's values averaged by the softmax of its scores, [H, L, D]."""
        placed = len(keys) - unplaced
        if self.pooling is not None:
            k = self._rotated_keys(linear(keys[None], self.k_proj), rotation, unplaced)[0]
            k, values, added = self._in_cells(k, values, rotation, unplaced)
            return softmax_product(q, k, values, added=added, product_dtype=product_dtype)
        can = self.heads == 1 and unplaced and q.device.type == "cpu" and q.dtype in ON_CPU
        if can and worth_it(q.shape[-1], keys.shape[-1], rotation.grid_hw, placed):
            weight, bias = self.k_proj.weight, self.k_proj.bias
            return average_by_axes(
                q[0], keys, values, weight, bias, rotation, unplaced, product_dtype=product_dtype
            )[None]
        k = self._rotated_keys(linear(keys[None], self.k_proj), rotation, unplaced)[0]
        return softmax_product(q, k, values, product_dtype=product_dtype)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, channels = x.shape
        return x.reshape(batch, length, self.heads, channels // self.heads).transpose(1, 2)

    def _rotated_keys(self, projected: Tensor, rotation: Rotation, unplaced: int) -> Tensor:
        k = self._split(projected)
        if not unplaced:
            return rotate(k, rotation)
        placed = k.shape[-2] - unplaced
        return torch.cat([rotate(k[..., :placed, :], rotation), k[..., placed:, :]], dim=-2)

    def _in_cells(
        self, k: Tensor, v: Tensor, rotation: Rotation, unplaced: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Turned keys and values [..., T, .] as attention looks at them, and what scores get [1, T]."""
        grid = rotation.grid_hw
        if self.pooling is None or not worth_pooling(k.shape[-2] - unplaced, grid):
            return k, v, None
        keys, added = pooled_keys(k, self.pooling, grid, unplaced)
        return keys, pooled(v, grid, unplaced), added

    def _project_values(self, averaged: Tensor) -> Tensor:
        """Each head's averages [B, H, L, D] through that head's rows of the value projection."""
        if self.heads == 1:
            return linear(averaged[:, 0], self.v_proj)
        weight = self.v_proj.weight.reshape(self.heads, -1, averaged.shape[-1])  # [H, C / H, D]
        projected = torch.einsum("bhld,hcd->blhc", averaged, weight)
        return projected.flatten(2) + self.v_proj.bias


class MemoryAttentionLayer(nn.Module):
    """Self-attention of the frame, attention to memory, then a ReLU block of two linear layers."""

    PARTS: ClassVar = {
        "self_attn": RotaryAttention,
        "cross_attn_image": RotaryAttention,
        "linear1": nn.Linear,
        "linear2": nn.Linear,
        **{f"norm{index}": nn.LayerNorm for index in (1, 2, 3)},
    }

    def __init__(
        self,
        channels: int,
        memory_channels: int,
        hidden: int,
        heads: int,
        dropout: float,
        pooling: Pooling | None = None,
    ):
        super().__init__()
        self.self_attn = RotaryAttention(channels, heads=heads, dropout=dropout)
        self.cross_attn_image = RotaryAttention(
            channels, heads=heads, key_channels=memory_channels, dropout=dropout, pooling=pooling
        )
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    @property
    def usual(self) -> bool:
        return not (self.training and self.dropout.p) and not _autocasts()

    def look_at_frame(self, x: Tensor, rotation: Rotation, product_dtype: torch.dtype | None) -> Tensor:
        normed = self.norm1(x)
        part = _called(self.self_attn)
        return x + self.dropout(part(normed, normed, normed, rotation, product_dtype=product_dtype))

    def look_at_memory(
        self,
        x: Tensor,  # [B or 1, L, C]
        keys: Tensor,  # [B, T, D]
        values: Tensor,  # [B, T, D]
        rotation: Rotation,
        key_rotation: Rotation,
        unplaced: int,
        product_dtype: torch.dtype | None,
    ) -> Tensor:
        answer = _called(self.cross_attn_image)(
            self.norm2(x),
            keys,
            values,
            rotation,
            key_rotation=key_rotation,
            unplaced=unplaced,
            product_dtype=product_dtype,
        )
        x = x + self.dropout(answer)
        if not untouched(self, x):
            return self._transform(x)
        at_once = TOKENS_AT_ONCE["cpu" if x.device.type == "cpu" else "other"]
        some_at_a_time = x.flatten(0, 1).split(at_once)
        return torch.cat([self._transform_fast(some) for some in some_at_a_time]).view_as(x)

    def _transform(self, x: Tensor) -> Tensor:
        hidden = self.dropout(F.relu(self.linear1(self.norm3(x))))
        return x + self.dropout(self.linear2(hidden))

    def _transform_fast(self, x: Tensor) -> Tensor:
        return x + linear(linear(self.norm3(x), self.linear1, "relu"), self.linear2)


class MemoryAttention(nn.Module):
    """A stack of layers that puts what memory knows of B objects into the features of one frame.

    Every dimension is an argument; the grid's size is not, it comes with the features.
    """

    PARTS: ClassVar = {"layers": MemoryAttentionLayer, "norm": nn.LayerNorm}

    def __init__(
        self,
        channels: int = 256,
        memory_channels: int = 64,
        *,
        layers: int = 4,
        hidden: int = 2048,
        heads: int = 1,
        dropout: float = 0.1,
        theta: float = 10000.0,
        pooling: Pooling | None = None,
    ):
        super().__init__()
        self.channels, self.heads, self.theta = channels, heads, theta
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(channels, memory_channels, hidden, heads, dropout, pooling)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        frame: Tensor,  # [B, C, h, w], or [1, C, h, w] shared by all objects
        frame_position: Tensor,  # [1, C, h, w]
        memory: Tensor,  # [B, T, D]
        memory_position: Tensor,  # [B or 1, T, D]
        *,
        memory_grid: tuple[int, int] | None = None,
        unplaced: int = 0,
        product_dtype: torch.dtype | None = None,
        begun: Tensor | None = None,
    ) -> Tensor:
        """The frame's features with memory in them, [B, C, h, w].

        ``memory_grid`` is the grid (height, width) of memory tokens, the frame's unless given, and
        ``unplaced`` says how many of the last memory tokens have no place on it.
        ``product_dtype=torch.bfloat16`` does the big products of attention in bfloat16 (faster, not the
        official values). A frame shared by all objects stays shared until the objects' memories make it
        differ; ``begun`` is what :meth:`begin` gave for it, where many objects are asked for a few at a time.
        """
        rotation = self._rotation(frame)
        grid = memory_grid or rotation.grid_hw
        key_rotation = rotation if grid == rotation.grid_hw else self._turns(grid, frame)
        x = self.begin(frame, frame_position, product_dtype=product_dtype) if begun is None else begun
        memory = memory.to(x.dtype)  # kept in bfloat16
        keys = memory + memory_position
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, MemoryAttentionLayer)
            if index:
                x = layer.look_at_frame(x, rotation, product_dtype)
            x = layer.look_at_memory(x, keys, memory, rotation, key_rotation, unplaced, product_dtype)
        return self.norm(x).transpose(1, 2).reshape(-1, self.channels, *frame.shape[-2:])

    def begin(
        self, frame: Tensor, frame_position: Tensor, *, product_dtype: torch.dtype | None = None
    ) -> Tensor:
        """The part of :meth:`forward` before the first look at memory, [B or 1, L, C]."""
        # The official models add a tenth of the position to the features, and none inside the layers.
        x = (frame + 0.1 * frame_position).flatten(2).transpose(1, 2)
        first = self.layers[0]
        assert isinstance(first, MemoryAttentionLayer)
        return first.look_at_frame(x, self._rotation(frame), product_dtype)

    def _rotation(self, frame: Tensor) -> Rotation:
        return self._turns((int(frame.shape[-2]), int(frame.shape[-1])), frame)

    def _turns(self, grid_hw: tuple[int, int], like: Tensor) -> Rotation:
        return grid_rotation(self.channels // self.heads, grid_hw, theta=self.theta, device=like.device)


def _autocasts() -> bool:
    """Whether products may come out in another type than their factors': the fast form knows of one type."""
    return torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")


def _called(part: RotaryAttention) -> Callable[..., Tensor]:
    """Its steps themselves where nobody looks: a subclass may be called in another way (``compat``)."""
    return partial(RotaryAttention.forward, part) if untouched(part) else part


def _join(x: Tensor) -> Tensor:
    """[B, H, L, C / H] -> [B, L, C]"""
    return x.transpose(1, 2).flatten(2)
