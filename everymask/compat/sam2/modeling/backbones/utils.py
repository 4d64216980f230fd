"""``sam2.modeling.backbones.utils``."""

from __future__ import annotations

from torch import Tensor, nn

from everymask.nn.encoders.tokens import PatchEmbed as OurPatchEmbed
from everymask.nn.encoders.windows import window_partition, window_unpartition

__all__ = ["PatchEmbed", "window_partition", "window_unpartition"]


class PatchEmbed(OurPatchEmbed):
    """One strided convolution: pixels [B, C, H, W] to tokens [B, h, w, D]."""

    def __init__(
        self,
        kernel_size: tuple[int, int] = (7, 7),
        stride: tuple[int, int] = (4, 4),
        padding: tuple[int, int] = (3, 3),
        in_chans: int = 3,
        embed_dim: int = 768,
    ) -> None:
        nn.Module.__init__(self)
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)
