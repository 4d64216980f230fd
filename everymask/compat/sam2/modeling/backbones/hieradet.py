"""``sam2.modeling.backbones.hieradet``."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from everymask.errors import OptionError
from everymask.models.weights import fill_weights, read_weights
from everymask.nn.encoders.hiera import Hiera as OurHiera
from everymask.nn.encoders.hiera import HieraSpec, MultiScaleAttention, MultiScaleBlock, do_pool
from everymask.nn.encoders.windows import window_partition, window_unpartition

from .utils import PatchEmbed

__all__ = [
    "Hiera",
    "MultiScaleAttention",
    "MultiScaleBlock",
    "PatchEmbed",
    "do_pool",
    "window_partition",
    "window_unpartition",
]


class Hiera(OurHiera):
    """Pixels [B, 3, H, W] to a map of each stage, finest first."""

    def __init__(
        self,
        embed_dim: int = 96,
        num_heads: int = 1,
        drop_path_rate: float = 0.0,
        q_pool: int = 3,
        q_stride: tuple[int, int] = (2, 2),
        stages: Sequence[int] = (2, 3, 16, 3),
        dim_mul: float = 2.0,
        head_mul: float = 2.0,
        window_pos_embed_bkg_spatial_size: Sequence[int] = (14, 14),
        window_spec: Sequence[int] = (8, 4, 14, 7),
        global_att_blocks: Sequence[int] | None = (12, 16, 20),
        weights_path: str | os.PathLike[str] | None = None,
        return_interm_layers: bool = True,
    ) -> None:
        """``weights_path``: weights of the trunk alone, loaded strictly."""
        nn.Module.__init__(self)
        if len(stages) != len(window_spec):
            raise OptionError(f"window_spec needs one size a stage, got {len(window_spec)} for {len(stages)}")
        self.window_spec, self.q_stride = tuple(window_spec), q_stride
        self.global_att_blocks = global_att_blocks
        self.return_interm_layers = return_interm_layers
        self.window_pos_embed_bkg_spatial_size = tuple(window_pos_embed_bkg_spatial_size)
        ends = [sum(stages[: count + 1]) - 1 for count in range(len(stages))]
        self.q_pool_blocks = [end + 1 for end in ends[:-1]][:q_pool]
        height, width = self.window_pos_embed_bkg_spatial_size
        self.spec = HieraSpec(
            embed_dim,
            num_heads,
            tuple(stages),
            tuple(global_att_blocks or ()),
            (height, width),
            self.window_spec,
        )
        self.patch_embed = PatchEmbed(embed_dim=embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, embed_dim, height, width))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, embed_dim, window_spec[0], window_spec[0]))
        self.blocks = nn.ModuleList()
        drops = torch.linspace(0, drop_path_rate, sum(stages)).tolist()
        stage, dim, heads = 0, embed_dim, num_heads
        for index, drop in enumerate(drops):
            window, dim_in = self.window_spec[stage], dim
            if index - 1 in ends:  # the first of a stage: still the windows of the one before
                dim, heads, stage = int(dim * dim_mul), int(heads * head_mul), stage + 1
            self.blocks.append(
                MultiScaleBlock(
                    dim_in,
                    dim,
                    heads,
                    drop_path=drop,
                    q_stride=q_stride if index in self.q_pool_blocks else None,
                    window_size=0 if index in self.spec.global_blocks else window,
                )
            )
        self.stage_ends = ends if return_interm_layers else ends[-1:]  # type: ignore[assignment]
        self.channel_list = [self.blocks[end].dim_out for end in self.stage_ends][::-1]
        if weights_path is not None:
            fill_weights(self, read_weights(os.fspath(weights_path)))

    def _get_pos_embed(self, hw: tuple[int, int]) -> Tensor:
        """The position code of every token, [1, H, W, C]."""
        height, width = hw
        return self._positions(self.pos_embed.new_empty(1, height, width, 1))

    def get_num_layers(self) -> int:
        return len(self.blocks)

    def get_layer_id(self, layer_name: str) -> int:
        """How deep a parameter lies, for learning rates that fall layer by layer: 0 for the tokens' making,
        then by block; whatever else comes last."""
        last = len(self.blocks) + 1
        if "rel_pos" in layer_name:
            return last
        if "pos_embed" in layer_name or "patch_embed" in layer_name:
            return 0
        return int(layer_name.split("blocks")[1].split(".")[1]) + 1 if "blocks" in layer_name else last
