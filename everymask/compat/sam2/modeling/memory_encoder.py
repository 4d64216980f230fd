"""``sam2.modeling.memory_encoder``: built and called as the official classes."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.memory.encoder import Fuser as OurFuser
from everymask.nn.memory.encoder import FuserBlock, MaskDownsampler
from everymask.nn.memory.encoder import MemoryEncoder as OurMemoryEncoder

from .sam2_utils import DropPath, LayerNorm2d, get_clones

__all__ = [
    "CXBlock",
    "DropPath",
    "Fuser",
    "LayerNorm2d",
    "MaskDownSampler",
    "MemoryEncoder",
    "get_clones",
]


class MaskDownSampler(MaskDownsampler):
    """A mask [B, 1, S, S] as features [B, C, S / 16, S / 16]."""

    def __init__(
        self,
        embed_dim: int = 256,
        kernel_size: int = 4,
        stride: int = 4,
        padding: int = 0,
        total_stride: int = 16,
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        super().__init__(
            embed_dim,
            kernel=kernel_size,
            stride=stride,
            padding=padding,
            total_stride=total_stride,
            activation=activation,
        )


class CXBlock(FuserBlock):
    """A ConvNeXt block on [B, C, h, w]."""

    def __init__(
        self,
        dim: int,
        kernel_size: int = 7,
        padding: int = 3,
        drop_path: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        use_dwconv: bool = True,
    ) -> None:
        super().__init__(
            dim,
            kernel=kernel_size,
            padding=padding,
            depthwise=use_dwconv,
            scale=layer_scale_init_value,
            drop_path=drop_path,
        )


class Fuser(OurFuser):
    """Copies of a block one after the other, behind a 1 x 1 convolution if asked for."""

    def __init__(
        self, layer: nn.Module, num_layers: int, dim: int | None = None, input_projection: bool = False
    ) -> None:
        nn.Module.__init__(self)
        self.proj: nn.Module = nn.Identity()
        self.layers = get_clones(layer, num_layers)
        if input_projection:
            assert dim is not None, "input_projection needs dim"
            self.proj = nn.Conv2d(dim, dim, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.proj(x))


class MemoryEncoder(OurMemoryEncoder):
    """Features of a frame and of a mask, fused and narrowed."""

    def __init__(
        self,
        out_dim: int,
        mask_downsampler: nn.Module,
        fuser: nn.Module,
        position_encoding: nn.Module,
        in_dim: int = 256,
    ) -> None:
        nn.Module.__init__(self)
        self.mask_downsampler = mask_downsampler  # type: ignore[assignment]
        self.pix_feat_proj = nn.Conv2d(in_dim, in_dim, kernel_size=1)
        self.fuser = fuser  # type: ignore[assignment]
        self.position_encoding = position_encoding
        self.out_proj = nn.Conv2d(in_dim, out_dim, kernel_size=1) if out_dim != in_dim else nn.Identity()

    def forward(  # type: ignore[override]
        self, pix_feat: Tensor, masks: Tensor, skip_mask_sigmoid: bool = False
    ) -> dict[str, Any]:
        """``vision_features``, the memory [B, D, h, w], and ``vision_pos_enc``, [its position code]."""
        if not skip_mask_sigmoid:
            masks = F.sigmoid(masks)
        memory = super().forward(pix_feat.to(masks.device), masks)
        place = self.position_encoding(memory).to(memory.dtype)
        return {"vision_features": memory, "vision_pos_enc": [place]}
