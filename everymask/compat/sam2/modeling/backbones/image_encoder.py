"""``sam2.modeling.backbones.image_encoder``: built and called as the official classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from everymask.errors import OptionError
from everymask.models.sam2 import ImageEncoder as OurImageEncoder
from everymask.nn.encoders.fpn import FpnNeck as OurNeck
from everymask.nn.encoders.fpn import summand
from everymask.nn.layers import at_least_float32
from everymask.nn.touched import untouched

__all__ = ["FpnNeck", "ImageEncoder"]


class ImageEncoder(OurImageEncoder):
    """Trunk and neck; ``scalp`` of the coarsest maps are left out."""

    def __init__(self, trunk: nn.Module, neck: nn.Module, scalp: int = 0) -> None:
        nn.Module.__init__(self)
        self.trunk, self.neck, self.scalp = trunk, neck, scalp  # type: ignore[assignment]
        if list(cast(Any, trunk).channel_list) != list(cast(Any, neck).backbone_channel_list):
            raise OptionError(
                "Channel dims of trunk and neck do not match. "
                f"Trunk: {trunk.channel_list}, neck: {neck.backbone_channel_list}"
            )
        if isinstance(neck, FpnNeck):
            neck.scalp = scalp  # what nobody asks for is not computed where nobody looks

    def forward(self, sample: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """Images [B, 3, S, S] -> ``backbone_fpn``, maps, finest first; ``vision_pos_enc``, their position
        codes; ``vision_features``, the coarsest map."""
        features, positions = self.neck(self.trunk(sample))
        if self.scalp > 0:
            features, positions = features[: -self.scalp], positions[: -self.scalp]
        return {"vision_features": features[-1], "vision_pos_enc": positions, "backbone_fpn": features}

    def fast(self, sample: Tensor, heads: Sequence[nn.Conv2d]) -> list[Tensor] | None:
        """The maps, the finest ones narrowed by ``heads``, convolutions that are merged into those of the
        neck; None where somebody touched one of them."""
        neck = self.neck
        if not isinstance(neck, FpnNeck) or not all(untouched(part, sample) for part in (self, *heads)):
            return None
        return OurNeck.forward(neck, self.trunk(sample), heads)


class FpnNeck(OurNeck):
    """The pyramid: a 1 x 1 convolution a level, the coarser ones added to the finer ones."""

    def __init__(
        self,
        position_encoding: nn.Module,
        d_model: int,
        backbone_channel_list: Sequence[int],
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        fpn_interp_model: str = "bilinear",
        fuse_type: str = "sum",
        fpn_top_down_levels: Sequence[int] | None = None,
    ) -> None:
        nn.Module.__init__(self)
        if fuse_type not in ("sum", "avg"):
            raise OptionError(f"fuse_type must be sum or avg, got {fuse_type!r}")
        self.position_encoding, self.d_model = position_encoding, d_model
        self.backbone_channel_list = list(backbone_channel_list)
        self.convs = nn.ModuleList(
            nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, d_model, kernel_size, stride, padding)))
            for channels in backbone_channel_list
        )
        self.fpn_interp_model, self.fuse_type = fpn_interp_model, fuse_type
        levels = range(len(self.convs)) if fpn_top_down_levels is None else fpn_top_down_levels
        self.fpn_top_down_levels = list(levels)
        self.top_down_levels, self.scalp = frozenset(levels), 0
        self._kernel = (kernel_size, stride, padding)

    @property
    def usual(self) -> bool:
        return (self._kernel, self.fpn_interp_model, self.fuse_type) == ((1, 1, 0), "nearest", "sum")

    def forward(self, xs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:  # type: ignore[override]
        """All levels and their position codes, finest first."""
        levels: list[Tensor] = []
        for index in reversed(range(len(xs))):
            level = self.convs[len(xs) - 1 - index](xs[index])
            if index in self.fpn_top_down_levels and levels:
                level = level + summand(self._enlarged(levels[-1]), level)
                level = level / 2 if self.fuse_type == "avg" else level
            levels.append(level)
        levels.reverse()
        return levels, [self.position_encoding(level).to(level.dtype) for level in levels]

    def _enlarged(self, coarse: Tensor) -> Tensor:
        align = None if self.fpn_interp_model == "nearest" else False
        return F.interpolate(
            at_least_float32(coarse), scale_factor=2.0, mode=self.fpn_interp_model, align_corners=align
        )
