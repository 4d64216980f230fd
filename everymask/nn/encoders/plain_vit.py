"""The plain vision transformer of EfficientTAM (Xiong et al. 2024): SAM's without relative positions, its
table of positions that of a classifier. Key names are those of EfficientTAM's checkpoints.

Letters: B images, H x W tokens, C channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.encoders.tokens import PatchEmbed, StreamNorm
from everymask.nn.encoders.vit import Attention, Block, neck
from everymask.nn.layers import MLP, at_least_float32
from everymask.nn.touched import untouched


@dataclass(frozen=True)
class PlainViTSpec:
    """The sizes that tell one EfficientTAM encoder from another."""

    embed_dim: int
    num_heads: int
    depth: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Indices of the blocks that attend over the whole picture; the others within windows."""
    window_size: int = 14
    patch_size: int = 16
    mlp_ratio: float = 4.0
    grid: int = 14
    """Side of the position table in tokens; it is stretched over the picture."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the one feature map."""
        return (self.embed_dim,)


class PlainBlock(Block):
    """A block whose feed-forward branch has SAM 2's names."""

    PARTS: ClassVar = {"norm1": nn.LayerNorm, "attn": Attention, "norm2": nn.LayerNorm, "mlp": MLP}

    def __init__(self, spec: PlainViTSpec, window_size: int) -> None:
        super().__init__(
            spec.embed_dim,
            spec.num_heads,
            spec.mlp_ratio,
            norm_layer=partial(StreamNorm, eps=1e-6),
            window_size=window_size,
        )
        dim = spec.embed_dim
        self.mlp = MLP(dim, int(dim * spec.mlp_ratio), dim, 2, activation=nn.GELU)

    @property
    def linears(self) -> tuple[nn.Linear, nn.Linear]:
        widen, narrow = cast(MLP, self.mlp).layers
        return cast(nn.Linear, widen), cast(nn.Linear, narrow)


class PlainViT(nn.Module):
    """Pixels [B, 3, S, S] to one feature map [B, C, S / 16, S / 16], in a list as other trunks' are."""

    PARTS: ClassVar = {"blocks": PlainBlock}

    def __init__(self, spec: PlainViTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = PatchEmbed(spec.embed_dim, kernel=spec.patch_size, stride=spec.patch_size)
        # the first entry is that of the classifier's token, which there is none of here
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + spec.grid**2, spec.embed_dim))
        self.blocks = nn.ModuleList(
            PlainBlock(spec, 0 if index in spec.global_blocks else spec.window_size)
            for index in range(spec.depth)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = self.patch_embed(pixels)
        x = at_least_float32(x) + self._positions((x.shape[1], x.shape[2]))
        unseen = untouched(self, pixels)  # nobody sees what goes from block to block
        for block in self.blocks:
            x = cast(PlainBlock, block).fast(x, own=True) if unseen else block(x)
        return [x.to(pixels.dtype).permute(0, 3, 1, 2)]

    def _positions(self, hw: tuple[int, int]) -> Tensor:
        """[1, H, W, C]"""
        side = self.spec.grid
        table = at_least_float32(self.pos_embed)[:, 1:].unflatten(1, (side, side))
        if hw == (side, side):
            return table
        stretched = F.interpolate(table.permute(0, 3, 1, 2), size=hw, mode="bicubic", align_corners=False)
        return stretched.permute(0, 2, 3, 1)


class ViTDetNeck(nn.Module):
    """Two convolutions with layer norms behind a trunk of one map (Li et al. 2022, ViTDet)."""

    def __init__(self, channels: Sequence[int], dim: int) -> None:
        super().__init__()
        (channel,) = channels
        names = ("conv_1x1", "norm_0", "conv_3x3", "norm_1")
        convs = OrderedDict(zip(names, neck(channel, dim), strict=True))
        self.convs = nn.ModuleList([nn.Sequential(convs)])

    def forward(self, maps: Sequence[Tensor], heads: Sequence[nn.Conv2d] = ()) -> list[Tensor]:
        """The one map, [B, dim, h, w] in a list. ``heads`` are for finer maps, of which there are none."""
        assert not heads
        return [self.convs[0](maps[0])]
