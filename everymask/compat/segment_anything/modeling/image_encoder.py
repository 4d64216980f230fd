"""``segment_anything.modeling.image_encoder``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from everymask.nn.encoders.relative import relative_bias, relative_table
from everymask.nn.encoders.vit import Attention, Block, ViT, ViTSpec, neck
from everymask.nn.encoders.windows import window_partition, window_unpartition

__all__ = [
    "Attention",
    "Block",
    "ImageEncoderViT",
    "PatchEmbed",
    "add_decomposed_rel_pos",
    "get_rel_pos",
    "window_partition",
    "window_unpartition",
]


class PatchEmbed(nn.Module):
    """One strided convolution: pixels [B, C, H, W] to tokens [B, h, w, D]."""

    def __init__(
        self,
        kernel_size: tuple[int, int] = (16, 16),
        stride: tuple[int, int] = (16, 16),
        padding: tuple[int, int] = (0, 0),
        in_chans: int = 3,
        embed_dim: int = 768,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x.clone(memory_format=torch.channels_last)).permute(0, 2, 3, 1)


class ImageEncoderViT(ViT):
    """Pixels [B, C, S, S] to the image embedding [B, out_chans, S / patch, S / patch]."""

    def __init__(
        self,
        img_size: int = 1024,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        out_chans: int = 256,
        qkv_bias: bool = True,
        norm_layer: Callable[[int], nn.Module] = nn.LayerNorm,
        act_layer: type[nn.Module] = nn.GELU,
        use_abs_pos: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        global_attn_indexes: tuple[int, ...] = (),
    ) -> None:
        nn.Module.__init__(self)
        self.img_size = img_size
        grid = img_size // patch_size
        self.spec = ViTSpec(
            embed_dim,
            depth,
            num_heads,
            tuple(global_attn_indexes),
            window_size,
            patch_size,
            mlp_ratio,
            out_chans,
            grid,
        )
        self.patch_embed = PatchEmbed(  # type: ignore[assignment]
            (patch_size, patch_size), (patch_size, patch_size), in_chans=in_chans, embed_dim=embed_dim
        )
        positions = nn.Parameter(torch.zeros(1, grid, grid, embed_dim)) if use_abs_pos else None
        self.pos_embed = positions  # type: ignore[assignment]
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                qkv_bias,
                norm_layer,
                act_layer,
                use_rel_pos,
                rel_pos_zero_init,
                0 if index in global_attn_indexes else window_size,
                (grid, grid),
            )
            for index in range(depth)
        )
        self.neck = neck(embed_dim, out_chans)


def get_rel_pos(q_size: int, k_size: int, rel_pos: Tensor) -> Tensor:
    """The embedding of every offset between a query and a key, [q_size, k_size, D]; sizes are equal."""
    if q_size != k_size:
        raise ValueError(f"queries and keys must lie on grids of one size, got {q_size} and {k_size}")
    return relative_table(rel_pos, q_size)


def add_decomposed_rel_pos(
    attn: Tensor,  # [B, q_h * q_w, k_h * k_w]
    q: Tensor,  # [B, q_h * q_w, D]
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    q_size: tuple[int, int],
    k_size: tuple[int, int],
) -> Tensor:
    """``attn`` plus the relative positions of queries and keys, which lie on grids of one size."""
    if tuple(q_size) != tuple(k_size):
        raise ValueError(f"queries and keys must lie on grids of one size, got {q_size} and {k_size}")
    return attn + relative_bias(q, rel_pos_h, rel_pos_w, q_size)
