"""The feature pyramid neck of SAM 2. Key names are those of the official checkpoints.

Position codes are not made here: they depend on a map's size only (`nn/position.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.layers import at_least_float32, under_autocast
from everymask.nn.touched import untouched


class FpnNeck(nn.Module):
    """One lateral 1x1 convolution per level; chosen levels also take the next coarser one, doubled.

    Parameters
    ----------
    channels
        Of the trunk's maps, finest first.
    dim
        Channels of every level of the pyramid.
    top_down_levels
        Levels (0 is the finest) that add the coarser level; SAM 2: (2, 3).
    scalp
        How many of the coarsest levels to drop from the answer; SAM 2: 1.
    """

    PARTS: ClassVar = {"convs": nn.Conv2d}

    def __init__(
        self,
        channels: Sequence[int],
        dim: int = 256,
        top_down_levels: Sequence[int] = (2, 3),
        scalp: int = 1,
    ) -> None:
        super().__init__()
        self.top_down_levels = frozenset(top_down_levels)
        self.scalp = scalp
        # the checkpoints count the convolutions from the coarsest level and call each one "conv"
        self.convs = nn.ModuleList(
            nn.Sequential(OrderedDict(conv=nn.Conv2d(channel, dim, 1))) for channel in reversed(channels)
        )

    def forward(self, maps: Sequence[Tensor], heads: Sequence[nn.Conv2d] = ()) -> list[Tensor]:
        """Levels, finest first: ``dim`` channels each, or those of ``heads`` where there is one.

        ``heads`` are 1x1 convolutions for the finest levels (SAM 2's ``conv_s0`` and ``conv_s1``,
        which take all that the mask decoder wants of them). In the fast form each is merged with its lateral
        convolution, so the widest tensor of the whole encoder (67 MB at 1024 px) is never made.
        """
        merging = untouched(self, *maps) and all(untouched(head) for head in heads)
        levels: list[Tensor] = []
        coarser: Tensor | None = None
        for index in reversed(range(len(maps))):
            lateral = self.convs[len(maps) - 1 - index]
            head = heads[index] if index < len(heads) else None
            finer_wants = index > 0 and index - 1 in self.top_down_levels
            above = coarser if index in self.top_down_levels else None
            if merging and head is not None and above is None and not finer_wants:
                levels.append(
                    _chained_1x1(maps[index], cast(nn.Conv2d, cast(nn.Sequential, lateral)[0]), head)
                )
                continue
            if merging and index >= len(maps) - self.scalp and not finer_wants:
                continue  # nobody asks for it
            level = lateral(maps[index])
            if above is not None:
                level = level + _doubled(above, level)
            coarser = level
            levels.append(level if head is None else head(level))
        count = len(maps) - self.scalp
        return levels[::-1][:count]


def _doubled(coarse: Tensor, fine: Tensor) -> Tensor:
    """``coarse`` at the size of ``fine``, each cell repeated; the sum with ``fine`` is in float32."""
    up = F.interpolate(at_least_float32(coarse), scale_factor=2.0, mode="nearest")
    return summand(up[..., : fine.shape[-2], : fine.shape[-1]], fine)


def summand(wide: Tensor, level: Tensor) -> Tensor:
    """What is added to ``level``: in its type, so that half models stay half; under autocast, as officially,
    in float32."""
    return wide if under_autocast(level) else wide.to(level.dtype)


def _chained_1x1(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    """``second(first(x))`` as one convolution, its weights multiplied out in float32."""
    outer = at_least_float32(second.weight.flatten(1))  # [C2, C1]
    weight = outer @ at_least_float32(first.weight.flatten(1))  # [C2, C0]
    bias = at_least_float32(second.bias) if second.bias is not None else outer.new_zeros(len(outer))
    if first.bias is not None:
        bias = torch.addmv(bias, outer, at_least_float32(first.bias))
    return F.conv2d(x, weight[:, :, None, None].to(x.dtype), bias.to(x.dtype))
