"""Multi-head attention as the mask decoder uses it.

Letters used in shapes: B batch, Q queries, K keys, C channels, D inner channels, H heads.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Scaled dot-product attention whose inner width may be narrower than the tokens.

    Queries, keys and values may have a batch of 1 next to others of B: they are projected once and
    shared. With many prompts on one image that saves a fifth of the decoder's arithmetic, and the
    values are the same as with the image repeated.
    """

    PARTS: ClassVar = {"q_proj": nn.Linear, "k_proj": nn.Linear, "v_proj": nn.Linear, "out_proj": nn.Linear}

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        downsample_rate: int = 1,
        dropout: float = 0.0,
        kv_in_dim: int | None = None,
    ) -> None:
        """``kv_in_dim``: channels of keys and values, where other than those of queries."""
        super().__init__()
        self.embedding_dim, self.kv_in_dim = embedding_dim, kv_in_dim or embedding_dim
        self.internal_dim = embedding_dim // downsample_rate
        self.num_heads = self.heads = num_heads
        self.dropout_p = dropout
        if self.internal_dim % num_heads:
            raise ValueError(
                f"{num_heads} heads must divide the inner width {self.internal_dim}; "
                "change num_heads or downsample_rate"
            )
        self.q_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.k_proj = nn.Linear(self.kv_in_dim, self.internal_dim)
        self.v_proj = nn.Linear(self.kv_in_dim, self.internal_dim)
        self.out_proj = nn.Linear(self.internal_dim, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """``q`` [B or 1, Q, C], ``k`` and ``v`` [B or 1, K, key_dim] -> [B, Q, C]."""
        # torch.broadcast_shapes would do, but its first call imports a symbolic algebra package: two seconds.
        batch = next((x.shape[0] for x in (q, k, v) if x.shape[0] != 1), 1)
        query, key, value = (
            self._separate_heads(x, self.heads).expand(batch, -1, -1, -1)
            for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        )
        dropout = self.dropout_p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.out_proj(self._recombine_heads(mixed))

    def _separate_heads(self, x: Tensor, num_heads: int) -> Tensor:  # official names, for subclasses
        return split_heads(x, num_heads)

    def _recombine_heads(self, x: Tensor) -> Tensor:
        return join_heads(x)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] -> [B, H, N, D / H], a view."""
    batch, tokens, dim = x.shape
    return x.view(batch, tokens, heads, dim // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, H, N, D / H] -> [B, N, D]: undoes :func:`split_heads`."""
    return x.transpose(1, 2).flatten(2)
