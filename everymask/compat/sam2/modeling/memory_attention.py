"""``sam2.modeling.memory_attention``: built and called as the official classes.

Their steps are the official ones; where nobody looks (``nn/touched.py``) the fast form of
``nn/memory/attention.py`` does the same. Letters: L tokens of a frame, B objects, T memory tokens, C channels
of a frame, D of a memory.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from everymask.compat.sam2.modeling.sam.transformer import RoPEAttention
from everymask.errors import OptionError
from everymask.nn.memory.attention import MemoryAttention as OurMemoryAttention
from everymask.nn.memory.attention import MemoryAttentionLayer as OurLayer
from everymask.nn.touched import untouched

from .sam2_utils import get_activation_fn, get_clones

__all__ = ["MemoryAttention", "MemoryAttentionLayer"]


class MemoryAttentionLayer(OurLayer):
    """Self-attention of the frame, attention to memory, two linear layers."""

    def __init__(
        self,
        activation: str,
        cross_attention: nn.Module,
        d_model: int,
        dim_feedforward: int,
        dropout: float,
        pos_enc_at_attn: bool,
        pos_enc_at_cross_attn_keys: bool,
        pos_enc_at_cross_attn_queries: bool,
        self_attention: nn.Module,
    ) -> None:
        nn.Module.__init__(self)
        self.d_model, self.dim_feedforward, self.dropout_value = d_model, dim_feedforward, dropout
        self.self_attn = self_attention  # type: ignore[assignment]
        self.cross_attn_image = cross_attention  # type: ignore[assignment]
        self.linear1 = nn.Linear(d_model, dim_feedforward)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(dim_feedforward, d_model)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(d_model) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = (nn.Dropout(dropout) for _ in range(3))
        self.activation_str, self.activation = activation, get_activation_fn(activation)
        self.pos_enc_at_attn = pos_enc_at_attn
        self.pos_enc_at_cross_attn_queries = pos_enc_at_cross_attn_queries
        self.pos_enc_at_cross_attn_keys = pos_enc_at_cross_attn_keys

    @property
    def usual(self) -> bool:
        places = (self.pos_enc_at_attn, self.pos_enc_at_cross_attn_queries, self.pos_enc_at_cross_attn_keys)
        return super().usual and self.activation_str == "relu" and places == (False, False, True)

    def _forward_sa(self, tgt: Tensor, query_pos: Tensor | None) -> Tensor:
        normed = self.norm1(tgt)
        placed = _placed(normed, query_pos if self.pos_enc_at_attn else None)
        return tgt + self.dropout1(self.self_attn(placed, placed, v=normed))

    def _forward_ca(
        self,
        tgt: Tensor,
        memory: Tensor,
        query_pos: Tensor | None,
        pos: Tensor | None,
        num_k_exclude_rope: int = 0,
    ) -> Tensor:
        normed = self.norm2(tgt)
        rotary = {"num_k_exclude_rope": num_k_exclude_rope} if num_k_exclude_rope > 0 else {}
        if rotary and not isinstance(self.cross_attn_image, RoPEAttention):
            raise OptionError("only RoPEAttention can leave keys without a place (num_k_exclude_rope)")
        answer = self.cross_attn_image(
            q=_placed(normed, query_pos if self.pos_enc_at_cross_attn_queries else None),
            k=_placed(memory, pos if self.pos_enc_at_cross_attn_keys else None),
            v=memory,
            **rotary,
        )
        return tgt + self.dropout2(answer)

    def forward(
        self,
        tgt: Tensor,  # [B, L, C]
        memory: Tensor,  # [B, T, D]
        pos: Tensor | None = None,  # of memory
        query_pos: Tensor | None = None,
        num_k_exclude_rope: int = 0,
    ) -> Tensor:
        tgt = self._forward_sa(tgt, query_pos)
        tgt = self._forward_ca(tgt, memory, query_pos, pos, num_k_exclude_rope)
        hidden = self.dropout(self.activation(self.linear1(self.norm3(tgt))))
        return tgt + self.dropout3(self.linear2(hidden))


class MemoryAttention(OurMemoryAttention):
    """Layers that put memories into the features of a frame."""

    def __init__(
        self,
        d_model: int,
        pos_enc_at_input: bool,
        layer: nn.Module,
        num_layers: int,
        batch_first: bool = True,
    ) -> None:
        nn.Module.__init__(self)
        self.d_model, self.num_layers = d_model, num_layers
        self.layers = get_clones(layer, num_layers)
        self.norm = nn.LayerNorm(d_model)
        self.pos_enc_at_input, self.batch_first = pos_enc_at_input, batch_first
        first: Any = getattr(layer, "self_attn", None)
        self.channels = d_model
        self.heads, self.theta = getattr(first, "heads", 1), getattr(first, "rope_theta", 10000.0)

    @property
    def usual(self) -> bool:
        alike = {
            (part.heads, part.rope_theta, part.internal_dim)
            for layer in self.layers
            for part in (getattr(layer, "self_attn", None), getattr(layer, "cross_attn_image", None))
            if isinstance(part, RoPEAttention)
        }
        same = alike == {(self.heads, self.theta, self.channels)}
        return same and self.pos_enc_at_input and self.batch_first

    @property
    def memory_grid(self) -> tuple[int, int] | None:
        """The grid that memories lie on, where it is not the frame's."""
        return getattr(getattr(self.layers[0], "cross_attn_image", None), "key_grid", None)

    def forward(  # type: ignore[override]
        self,
        curr: Tensor | list[Tensor],  # [L, B, C]
        memory: Tensor,  # [T, B, D]
        curr_pos: Tensor | list[Tensor] | None = None,  # [L, B, C]
        memory_pos: Tensor | None = None,  # [T, B, D]
        num_obj_ptr_tokens: int = 0,
        num_spatial_mem: int = -1,
    ) -> Tensor:
        """The frame's tokens with memory in them, [L, B, C]. The last ``num_obj_ptr_tokens`` of the memory
        tokens have no place; ``num_spatial_mem``, which EdgeTAM passes, follows from the shapes."""
        frame = curr[0] if isinstance(curr, list) else curr
        place = curr_pos[0] if isinstance(curr_pos, list) else curr_pos
        if frame.shape[1] != memory.shape[1]:
            raise OptionError(
                f"curr and memory must hold equally many objects, got {frame.shape[1]} and {memory.shape[1]}"
            )
        side = math.isqrt(len(frame))
        plain = place is None or memory_pos is None or side * side != len(frame)
        if plain or not untouched(self, frame, memory):
            return self._official(frame, memory, place, memory_pos, num_obj_ptr_tokens)
        assert place is not None
        assert memory_pos is not None
        features, position = (x.permute(1, 2, 0).unflatten(2, (side, side)) for x in (frame, place[:, :1]))
        answer = OurMemoryAttention.forward(
            self,
            features,
            position,
            memory.transpose(0, 1),
            memory_pos.transpose(0, 1),
            memory_grid=self.memory_grid,
            unplaced=num_obj_ptr_tokens,
        )
        return answer.flatten(2).permute(2, 0, 1)

    def _official(
        self,
        frame: Tensor,
        memory: Tensor,
        place: Tensor | None,
        memory_pos: Tensor | None,
        unplaced: int,
    ) -> Tensor:
        output = frame + 0.1 * place if self.pos_enc_at_input and place is not None else frame
        memory = memory.to(output.dtype)  # kept in bfloat16; officially this is left to autocast
        tensors: list[Tensor | None] = [output, memory, place, memory_pos]
        if self.batch_first:
            tensors = [None if x is None else x.transpose(0, 1) for x in tensors]
        tokens, memory_tokens, token_pos, memory_pos = tensors
        assert tokens is not None
        for layer in self.layers:
            cross = getattr(layer, "cross_attn_image", None)
            rotary = {"num_k_exclude_rope": unplaced} if isinstance(cross, RoPEAttention) else {}
            tokens = layer(tgt=tokens, memory=memory_tokens, pos=memory_pos, query_pos=token_pos, **rotary)
        normed = self.norm(tokens)
        return normed.transpose(0, 1) if self.batch_first else normed


def _placed(x: Tensor, pos: Tensor | None) -> Tensor:
    return x if pos is None else x + pos
