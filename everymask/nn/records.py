"""The named records that travel between encoder, prompt encoder and mask decoder.

Letters used in shapes: B images, P prompts, N points of a prompt, M masks of a prompt, C channels
(256, or the small model's), h x w the embedding grid (64 x 64 for a 1024 px model).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageFeatures:
    """What the image encoder says about B images."""

    embedding: Tensor  # [B, C, h, w]
    high_res: tuple[Tensor, ...] = ()
    """SAM 2: ([B, C/8, 4h, 4w], [B, C/4, 2h, 2w]), conv_s0 / conv_s1 applied; SAM: empty."""
    early: tuple[Tensor, ...] = ()
    """HQ-SAM: the map [B, C/8, 4h, 4w] that an early layer of the trunk has a say in; otherwise empty."""

    @property
    def for_decoder(self) -> tuple[Tensor, ...]:
        """The maps that the mask decoder takes beside the embedding."""
        return (*self.high_res, *self.early)

    def __len__(self) -> int:
        return self.embedding.shape[0]

    def __repr__(self) -> str:
        """Shapes alone: a million numbers say nothing."""
        tensors = (self.embedding, *self.high_res, *self.early)
        return f"ImageFeatures({', '.join(' x '.join(map(str, each.shape)) for each in tensors)})"

    def __getitem__(self, index: int) -> ImageFeatures:
        """The features of one image, batch axis kept (B = 1)."""
        one = slice(index, index + 1) if index != -1 else slice(-1, None)
        return ImageFeatures(
            self.embedding[one], tuple(x[one] for x in self.high_res), tuple(x[one] for x in self.early)
        )


@dataclass(frozen=True)
class PromptEmbeddings:
    """P prompts as the decoder takes them."""

    sparse: Tensor  # [P, N, C], N may be 0
    dense: Tensor | None = None
    """[P, C, h, w] of mask prompts, or None: no prompt has a mask (the no-mask embedding is meant)."""


@dataclass(frozen=True)
class Decoded:
    """Everything the mask decoder knows; choosing among the masks is left to pure functions."""

    mask_logits: Tensor  # [P, M, 4h, 4w]; mask 0 belongs to the single-mask token, 1..M-1 to the others
    iou: Tensor  # [P, M] predicted IoU
    mask_tokens: Tensor  # [P, M, C] output tokens (SAM 2 makes object pointers of them)
    object_logit: Tensor | None = None  # [P, 1] > 0: the object is there; None: the family has no such head
    hq_logits: Tensor | None = None  # [P, 1, 4h, 4w] HQ-SAM: to be added to the mask that is handed on
