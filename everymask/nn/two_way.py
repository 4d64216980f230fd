"""The two-way transformer: prompt tokens look at the image, the image looks back at the tokens.

Letters used in shapes: P prompts, T tokens of a prompt, N = h * w image tokens, C channels.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from everymask.nn.attention import Attention
from everymask.nn.layers import MLP, MLPBlock


class TwoWayBlock(nn.Module):
    """Self-attention of tokens, tokens to image, MLP on tokens, image to tokens; a norm after each."""

    PARTS: ClassVar = {
        "self_attn": Attention,
        "norm1": nn.LayerNorm,
        "cross_attn_token_to_image": Attention,
        "norm2": nn.LayerNorm,
        "mlp": nn.Module,
        "norm3": nn.LayerNorm,
        "norm4": nn.LayerNorm,
        "cross_attn_image_to_token": Attention,
    }

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int = 2048,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
        skip_first_layer_pe: bool = False,
        *,
        mlp_block: bool = False,
    ) -> None:
        super().__init__()
        dim, heads, downsample = embedding_dim, num_heads, attention_downsample_rate
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads, downsample)
        self.norm2 = nn.LayerNorm(dim)
        # one and the same under the names of SAM (lin1, lin2) and of SAM 2 (layers.0, layers.1)
        self.mlp = (
            MLPBlock(dim, mlp_dim, activation)
            if mlp_block
            else MLP(dim, mlp_dim, dim, 2, activation=activation)
        )
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads, downsample)
        # In the first block the tokens are their own position code: it is not added twice, and the
        # attention replaces the tokens instead of being added to them.
        self.first = self.skip_first_layer_pe = skip_first_layer_pe

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens [P, T, C] and image tokens [P or 1, N, C], and the position codes of both."""
        if self.first:
            queries = self.self_attn(q=queries, k=queries, v=queries)
        else:
            placed = queries + query_pe
            queries = queries + self.self_attn(q=placed, k=placed, v=queries)
        queries = self.norm1(queries)

        placed_keys = keys + key_pe
        queries = queries + self.cross_attn_token_to_image(q=queries + query_pe, k=placed_keys, v=keys)
        queries = self.norm2(queries)
        queries = self.norm3(queries + self.mlp(queries))

        keys = keys + self.cross_attn_image_to_token(q=placed_keys, k=queries + query_pe, v=queries)
        return queries, self.norm4(keys)


class TwoWayTransformer(nn.Module):
    """Tokens and image tokens after ``depth`` rounds of attention in both directions."""

    PARTS: ClassVar = {
        "layers": TwoWayBlock,
        "final_attn_token_to_image": Attention,
        "norm_final_attn": nn.LayerNorm,
    }

    def __init__(
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
        *,
        mlp_block: bool = False,
    ) -> None:
        super().__init__()
        self.depth, self.embedding_dim = depth, embedding_dim
        self.num_heads, self.mlp_dim = num_heads, mlp_dim
        self.layers = nn.ModuleList(
            TwoWayBlock(
                embedding_dim,
                num_heads,
                mlp_dim,
                activation,
                attention_downsample_rate,
                skip_first_layer_pe=index == 0,
                mlp_block=mlp_block,
            )
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(embedding_dim, num_heads, attention_downsample_rate)
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(
        self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``image_embedding`` [P or 1, C, h, w], its position [1, C, h, w], tokens [P, T, C]: tokens
        [P, T, C] and image tokens [P, h * w, C].

        The tokens as they came in serve as their own position code in every layer. An image with
        a batch of 1 is shared by all prompts up to the point where they change it.
        """
        keys, key_pe = (x.flatten(2).transpose(1, 2) for x in (image_embedding, image_pe))
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries=queries, keys=keys, query_pe=point_embedding, key_pe=key_pe)
        looked = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + looked), keys
