"""``sam2.modeling.sam.transformer``, and EdgeTAM's attention between grids of two sizes."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from everymask.errors import OptionError
from everymask.nn.attention import Attention
from everymask.nn.memory.attention import RotaryAttention
from everymask.nn.memory.rope import Rotation, grid_rotation, rotate
from everymask.nn.two_way import TwoWayBlock as TwoWayAttentionBlock
from everymask.nn.two_way import TwoWayTransformer

__all__ = ["Attention", "RoPEAttention", "RoPEAttentionv2", "TwoWayAttentionBlock", "TwoWayTransformer"]


class RoPEAttention(RotaryAttention):
    """Attention with rotary positions, built and called as the official class."""

    key_grid: tuple[int, int] | None = None
    """Height and width of the grid that keys lie on, where it is not that of the queries."""

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        downsample_rate: int = 1,
        dropout: float = 0.0,
        kv_in_dim: int | None = None,
        *,
        rope_theta: float = 10000.0,
        rope_k_repeat: bool = False,
        feat_sizes: tuple[int, int] = (64, 64),
    ) -> None:
        """``feat_sizes``: width and height of the queries' grid; other numbers of queries lie on a square."""
        inner = embedding_dim // downsample_rate
        super().__init__(embedding_dim, heads=num_heads, key_channels=kv_in_dim, dropout=dropout, inner=inner)
        self.embedding_dim, self.kv_in_dim = embedding_dim, kv_in_dim or embedding_dim
        self.internal_dim, self.num_heads, self.dropout_p = inner, num_heads, dropout
        self.rope_theta, self.rope_k_repeat = rope_theta, rope_k_repeat
        self.query_grid = (int(feat_sizes[1]), int(feat_sizes[0]))

    def forward(  # type: ignore[override]
        self, q: Tensor, k: Tensor, v: Tensor, num_k_exclude_rope: int = 0
    ) -> Tensor:
        """``q`` [B, L, C], ``k`` and ``v`` [B, T, D], the last ``num_k_exclude_rope`` of which have no
        place -> [B, L, C]."""
        height, width = self.query_grid
        if height * width != q.shape[1]:
            height = width = math.isqrt(q.shape[1])
        if q.shape[1] != k.shape[1] and not (self.rope_k_repeat or self.key_grid):
            raise OptionError("rope_k_repeat must be True where there are more keys than queries")
        turn = self._turn((height, width), q)
        key_turn = self._turn(self.key_grid, q) if self.key_grid else turn
        query = rotate(self._split(self.q_proj(q)), turn)
        keys = self._rotated_keys(self.k_proj(k), key_turn, num_k_exclude_rope)
        values = self._split(self.v_proj(v))
        dropout = self.dropout_p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, keys, values, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _turn(self, grid_hw: tuple[int, int], like: Tensor) -> Rotation:
        channels = self.internal_dim // self.num_heads
        return grid_rotation(channels, grid_hw, theta=self.rope_theta, device=like.device)


class RoPEAttentionv2(RoPEAttention):
    """EdgeTAM's: keys lie on a grid of their own."""

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        downsample_rate: int = 1,
        dropout: float = 0.0,
        kv_in_dim: int | None = None,
        *,
        rope_theta: float = 10000.0,
        q_sizes: tuple[int, int] = (32, 32),
        k_sizes: tuple[int, int] = (32, 32),
    ) -> None:
        """Sizes are width and height."""
        super().__init__(
            embedding_dim,
            num_heads,
            downsample_rate,
            dropout,
            kv_in_dim,
            rope_theta=rope_theta,
            rope_k_repeat=True,
            feat_sizes=q_sizes,
        )
        self.key_grid = (int(k_sizes[1]), int(k_sizes[0]))
