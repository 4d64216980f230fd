"""Points, box corners and earlier masks become embeddings.

Letters used in shapes: P prompts, N points of a prompt, C channels, h x w the embedding grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from everymask.nn.layers import LayerNorm2d
from everymask.nn.position import RandomFourierPosition
from everymask.nn.records import PromptEmbeddings

PAD, BACKGROUND, FOREGROUND, BOX_FIRST, BOX_SECOND = -1, 0, 1, 2, 3


class PromptEncoder(nn.Module):
    """One prompt encoder for SAM and SAM 2.

    A box is two points with the labels 2 (its first corner) and 3; that is how SAM 2 writes it, and
    it gives SAM's own box embeddings too. Which padding point a family adds, and in what order its
    points come, is the business of the model (``models/base.py``: ``arrange``).
    """

    def __init__(
        self, *, dim: int, embedding_hw: tuple[int, int], image_size: int, mask_channels: int = 16
    ) -> None:
        super().__init__()
        self.embedding_hw = embedding_hw
        self.image_size = image_size
        self.pe_layer = RandomFourierPosition(dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    @property
    def mask_hw(self) -> tuple[int, int]:
        """The size of a mask prompt: four times the embedding grid."""
        return 4 * self.embedding_hw[0], 4 * self.embedding_hw[1]

    def forward(
        self, points: Tensor | None = None, labels: Tensor | None = None, masks: Tensor | None = None
    ) -> PromptEmbeddings:
        """``points`` [P, N, 2] in model pixels, ``labels`` [P, N], ``masks`` logits [P, 1, 4h, 4w]."""
        if points is None or labels is None:
            prompts = 1 if masks is None else masks.shape[0]
            sparse = self.no_mask_embed.weight.new_zeros(prompts, 0, self.no_mask_embed.weight.shape[1])
        else:
            sparse = self.embed_points(points, labels)
        dense = None if masks is None else self.mask_downscaling(masks.to(self.no_mask_embed.weight.dtype))
        return PromptEmbeddings(sparse, dense)

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """[P, N, 2], [P, N] -> [P, N, C]: where a point lies plus what it means."""
        centres = points + 0.5  # a coordinate names a pixel; the code is that of the pixel's centre
        where = self.pe_layer.codes(centres / self.image_size)
        kinds = torch.cat([e.weight for e in (self.not_a_point_embed, *self.point_embeddings)])  # type: ignore[misc]
        kind = kinds[labels.long() + 1]  # [P, N, C]; row 0 is that of the padding label -1
        is_point = (labels != PAD)[..., None]
        return (where * is_point + kind).to(kinds.dtype)

    def no_mask(self) -> Tensor:
        """What stands for "no mask prompt" in every cell, [1, C, 1, 1]."""
        return self.no_mask_embed.weight[:, :, None, None]

    def grid_position(self) -> Tensor:
        """The position codes of the embedding grid, [1, C, h, w]."""
        return self.pe_layer.grid(self.embedding_hw).to(self.no_mask_embed.weight.dtype)
