"""``segment_anything_hq.predictor``: :class:`SamPredictor`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from everymask.compat.segment_anything.predictor import SamPredictor as PlainPredictor
from everymask.compat.segment_anything.predictor import first_of

from .modeling.sam import Sam, decode_prompts

__all__ = ["SamPredictor"]


class SamPredictor(PlainPredictor):
    """As SAM's, with one mask a prompt: SAM's with HQ-SAM's added, or the latter alone."""

    model: Sam
    interm_features: list[Tensor] | None
    """What early layers of the trunk see, [1, h, w, E] each."""

    def _encode(self, pixels: Tensor) -> None:
        self.features, self.interm_features = self.model.image_encoder(pixels.to(self.model.dtype))

    def predict(  # type: ignore[override]
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        hq_token_only: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mask bool [1, H, W], IoU prediction [1] and low-resolution logits [1, h, w] of one prompt."""
        prompt = self._one_prompt(point_coords, point_labels, box, mask_input)
        return first_of(self.predict_torch(*prompt, multimask_output, return_logits, hq_token_only))

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        hq_token_only: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks [B, 1, H, W], IoU predictions [B, 1] and logits [B, 1, h, w] of B prompts."""
        self._require_image()
        assert self.features is not None
        assert self.interm_features is not None
        logits, iou = decode_prompts(
            self.model,
            self.features,
            self.interm_features,
            (point_coords, point_labels, boxes, mask_input),
            multimask_output,
            hq_token_only,
        )
        return self._in_the_photo(logits, return_logits), iou, logits

    def reset_image(self) -> None:
        """Forget the image."""
        super().reset_image()
        self.interm_features = None
