"""What a session says about one frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.formats.video_record import ObjectMask
from everymask.geometry import Stretch
from everymask.masks.drawn import masks_above
from everymask.masks.rle import encode
from everymask.maskset import Mask, MaskSet


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """All objects on one frame. Masks and logits are brought to the frame's size when they are asked for."""

    index: int
    object_ids: tuple[int, ...]  # N of them; the order of the arrays below
    frame_hw: tuple[int, int]
    low_res: Tensor  # float32 [N, 1, 4h, 4w] mask logits as the model gives them
    scores: np.ndarray  # float32 [N] the model's estimate of each mask's IoU
    visibility: np.ndarray  # float32 [N] probability that the object is on the frame
    time_s: float | None = None
    skipped: int = 0
    """Frames of a live stream that were left out just before this one, to keep up with it."""
    non_overlap: bool = False

    @cached_property
    def logits(self) -> np.ndarray:
        """Mask logits, float32 [N, H, W]; above 0 is inside, -1024 everywhere where the object is not."""
        return self.logits_tensor[:, 0].cpu().numpy()

    @cached_property
    def masks(self) -> np.ndarray:
        """The objects' pixels, bool [N, H, W]."""
        if self.non_overlap:
            return self.logits > 0
        return masks_above(self.low_res[:, 0], (Stretch(self.frame_hw, self.frame_hw),), 0.0)

    @property
    def visible(self) -> np.ndarray:
        """Whether the model sees the object on this frame, bool [N]."""
        return self.visibility > 0.5

    @property
    def logits_tensor(self) -> Tensor:
        """As :attr:`logits`, [N, 1, H, W] on the model's device."""
        logits = self._upscaled(self.low_res)
        return without_overlap(logits) if self.non_overlap else logits

    def mask_set(self) -> MaskSet:
        """The objects as a :class:`MaskSet`, each labelled with its id; empty masks are left out."""
        masks = [
            Mask.from_segmentation(mask, predicted_iou=float(score), label=str(object_id))
            for object_id, mask, score in zip(self.object_ids, self.masks, self.scores, strict=True)
            if mask.any()
        ]
        return MaskSet(masks, self.frame_hw)

    def object_masks(self) -> dict[int, ObjectMask]:
        """The objects as run lengths, empty masks too: what files of clips are made of."""
        rows = zip(self.object_ids, self.masks, self.scores, self.visibility, strict=True)
        return {
            object_id: ObjectMask(encode(mask), float(score), float(visibility))
            for object_id, mask, score, visibility in rows
        }

    def _upscaled(self, logits: Tensor) -> Tensor:
        if tuple(logits.shape[-2:]) == self.frame_hw or len(logits) == 0:
            return logits
        return F.interpolate(logits, self.frame_hw, mode="bilinear", align_corners=False)

    def _repr_html_(self) -> str:
        """The objects in their colours, for a notebook."""
        from everymask.media import html

        return html.with_caption(html.drawn(self.mask_set()), repr(self))

    def __repr__(self) -> str:
        seen = ", ".join(
            f"{object_id}{'' if visible else ' (not seen)'}"
            for object_id, visible in zip(self.object_ids, self.visible, strict=True)
        )
        return f"TrackedFrame(index={self.index}, objects: {seen or 'none'})"


def without_overlap(logits: Tensor) -> Tensor:
    """Logits [N, 1, H, W] where only the highest object of a pixel is inside; the first of equals.

    >>> without_overlap(torch.tensor([[[[2.0]]], [[[1.0]]]])).flatten().tolist()
    [2.0, -10.0]
    """
    if len(logits) < 2:
        return logits
    owner = logits.argmax(dim=0, keepdim=True)
    rows = torch.arange(len(logits), device=logits.device)[:, None, None, None]
    return torch.where(owner == rows, logits, logits.clamp(max=-10.0))
