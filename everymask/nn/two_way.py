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
        self, dim: int, heads: int, mlp_dim: int, downsample: int = 2, *, first: bool, mlp_block: bool
    ) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads, downsample=downsample)
        self.norm2 = nn.LayerNorm(dim)
        # one and the same under the names of SAM (lin1, lin2) and of SAM 2 (layers.0, layers.1)
        self.mlp = MLPBlock(dim, mlp_dim, nn.ReLU) if mlp_block else MLP(dim, mlp_dim, dim, 2)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads, downsample=downsample)
        # In the first block the tokens are their own position code: it is not added twice, and the
        # attention replaces the tokens instead of being added to them.
        self.first = first

    def forward(
        self, tokens: Tensor, image: Tensor, position: Tensor, image_position: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + position
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)

        placed_image = image + image_position
        tokens = tokens + self.cross_attn_token_to_image(tokens + position, placed_image, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))

        image = image + self.cross_attn_image_to_token(placed_image, tokens + position, tokens)
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """Tokens and image tokens after ``depth`` rounds of attention in both directions."""

    PARTS: ClassVar = {
        "layers": TwoWayBlock,
        "final_attn_token_to_image": Attention,
        "norm_final_attn": nn.LayerNorm,
    }

    def __init__(
        self, *, depth: int, dim: int, heads: int, mlp_dim: int, downsample: int = 2, mlp_block: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(dim, heads, mlp_dim, downsample, first=index == 0, mlp_block=mlp_block)
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(dim, heads, downsample=downsample)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, image_position: Tensor) -> tuple[Tensor, Tensor]:
        """``tokens`` [P, T, C], ``image`` [P or 1, N, C], its position [1, N, C] -> [P, T, C], [P, N, C].

        The tokens as they came in serve as their own position code in every layer. An ``image`` with
        a batch of 1 is shared by all prompts up to the point where they change it.
        """
        position = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, position, image_position)
        looked = self.final_attn_token_to_image(tokens + position, image + image_position, image)
        return self.norm_final_attn(tokens + looked), image
