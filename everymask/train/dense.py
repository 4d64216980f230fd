"""A second task for the encoder while it trains: which pixels belong together, and where edges are.

It makes the features useful before clicks mean anything to the decoder; it is not exported.

Letters used in shapes: B images, C channels, h x w the embedding grid, N pixels drawn, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.nn.records import ImageFeatures


class DenseHead(nn.Module):
    """Pixel embeddings at stride 8 and edge logits at stride 4, read off the image features."""

    def __init__(self, dim: int, width: int = 32) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(dim, width, 1)
        self.middle = nn.Conv2d(dim // 4, width, 1)
        self.embed = nn.Conv2d(width, width, 1)
        self.fine = nn.Conv2d(dim // 8, width, 1)
        self.edges = nn.Conv2d(width, 1, 1)
        self.scale = nn.Parameter(torch.tensor(6.0))
        self.bias = nn.Parameter(torch.tensor(-2.0))

    def forward(self, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """[B, D, 2h, 2w] embeddings and [B, 4h, 4w] edge logits."""
        stride4, stride8 = features.high_res
        mixed = self.middle(stride8) + F.interpolate(self.coarse(features.embedding), scale_factor=2)
        fine = F.interpolate(mixed, scale_factor=2) + self.fine(stride4)
        return self.embed(F.gelu(mixed)), self.edges(F.gelu(fine))[:, 0]


def label_edges(labels: Tensor) -> Tensor:
    """Label maps [B, 3, S, S] -> 1 where a 4 x 4 block has a border of parts or wholes, [B, S/4, S/4]."""
    maps = labels[:, :2]
    border = torch.zeros_like(maps, dtype=torch.bool)
    border[..., :, 1:] |= maps[..., :, 1:] != maps[..., :, :-1]
    border[..., 1:, :] |= maps[..., 1:, :] != maps[..., :-1, :]
    return F.max_pool2d(border.any(1, keepdim=True).float(), 4)[:, 0]
