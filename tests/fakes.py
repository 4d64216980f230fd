"""A model whose masks one can work out by hand, for tests of what is built around a model.

    model = FakeModel("sam")       # SAM's letterbox and token order, 64 px
    model = FakeModel("sam2")      # SAM 2's square and token order

Mask 0 and mask 2 of a prompt are discs of 8 model pixels around each point labelled 1 (less those around
points labelled 0), masks 1 and 3 discs of 4 and 16; a box adds its rectangle, a mask prompt its logits.
Logits are distances to the edge in model pixels, positive inside. Predicted IoUs are IOUS for every prompt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.geometry import Frame, Letterbox, Squash
from everymask.models.base import PromptableModel
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.prompt_encoder import PromptEncoder
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings

RADII = (8.0, 4.0, 8.0, 16.0)  # model pixels
IOUS = (0.7, 0.6, 0.9, 0.8)


class FakeModel(PromptableModel):
    """Deterministic, without weights that matter, 64 px unless told otherwise."""

    def __init__(self, family: Literal["sam", "sam2"] = "sam2", image_size: int = 64) -> None:
        base = MODELS["sam_vit_b" if family == "sam" else "sam2.1_hiera_tiny"]
        super().__init__(replace(base, name=f"fake_{family}", image_size=image_size, embed_dim=8))
        self.prompt_encoder = PromptEncoder(dim=8, embedding_hw=self.spec.embedding_hw, image_size=image_size)
        with torch.no_grad():
            for weight in self.state_dict().values():
                weight.fill_(0.5)
        self.encoded_batches: list[int] = []
        """How many photos came in each call of encode_image."""
        self.decoded_batches: list[int] = []
        """How many prompts came in each call of decode."""

    @property
    def prompts(self) -> PromptEncoder:
        return self.prompt_encoder

    @property
    def decoder(self):
        raise AssertionError("the fake model has no decoder; it overrides decode")

    def frame(self, photo_hw: tuple[int, int]) -> Frame:
        kind = Letterbox if self.spec.family == "sam" else Squash
        return kind(photo_hw, self.spec.image_size)

    def normalise(self, pixels: Tensor) -> Tensor:
        side = self.spec.image_size
        return F.pad(pixels, (0, side - pixels.shape[2], 0, side - pixels.shape[1]))

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """The mean colour of each cell, as many times as there are channels."""
        self.encoded_batches.append(len(pixels))
        cells = F.adaptive_avg_pool2d(pixels, self.embedding_size).mean(dim=1, keepdim=True)
        return ImageFeatures(cells.expand(-1, self.spec.embed_dim, -1, -1).contiguous())

    def arrange(self, points, labels, boxes):
        return (Sam if self.spec.family == "sam" else Sam2).arrange(self, points, labels, boxes)

    def encode_prompts(self, points=None, labels=None, masks=None) -> PromptEmbeddings:
        """The tokens themselves: x, y, label [P, N, 3]; dense are the mask logits [P, 1, 4h, 4w]."""
        if points is None:
            return PromptEmbeddings(torch.zeros(1 if masks is None else len(masks), 0, 3), masks)
        return PromptEmbeddings(torch.cat([points, labels[..., None].to(points)], dim=-1), masks)

    def decode(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        self.decoded_batches.append(len(prompts.sparse))
        height, width = self.logits_size
        cell = self.spec.image_size / height
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        where = (torch.stack([x, y], dim=-1) + 0.5) * cell  # [4h, 4w, 2] model pixels
        logits = torch.stack([self._shapes(tokens, where) for tokens in prompts.sparse])
        if prompts.dense is not None:
            logits = torch.maximum(logits, prompts.dense)
        count = len(logits)
        return Decoded(
            mask_logits=logits,
            iou=torch.tensor(IOUS).expand(count, -1),
            mask_tokens=torch.arange(4.0).reshape(1, 4, 1).expand(count, -1, self.spec.embed_dim),
            object_logit=torch.full((count, 1), 5.0) if self.spec.family == "sam2" else None,
        )

    def prepared(self, features: ImageFeatures, *beside: Tensor) -> None:
        return None

    def _shapes(self, tokens: Tensor, where: Tensor) -> Tensor:
        """One prompt's tokens [N, 3] -> logits [4, 4h, 4w]."""
        far = torch.full(where.shape[:2], -50.0)
        by_radius = []
        for radius in RADII:
            logits = far
            for x, y, label in tokens.tolist():
                disc = radius - (where - torch.tensor([x + 0.5, y + 0.5])).norm(dim=-1)
                if label == 1:
                    logits = torch.maximum(logits, disc)
                elif label == 0:
                    logits = torch.minimum(logits, -disc)
            by_radius.append(logits)
        corners = tokens[tokens[:, 2] >= 2, :2]
        if len(corners) == 2:
            inside = torch.minimum(where - corners[0], corners[1] - where).amin(dim=-1)
            by_radius = [torch.maximum(logits, inside) for logits in by_radius]
        return torch.stack(by_radius)
