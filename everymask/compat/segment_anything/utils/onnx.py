"""``segment_anything.utils.onnx``: :class:`SamOnnxModel`, which the official export script writes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.compat.amg import calculate_stability_score
from everymask.compat.segment_anything.modeling import Sam

__all__ = ["SamOnnxModel"]


class SamOnnxModel(nn.Module):
    """Prompt encoder, mask decoder and what follows, built and called as the official class.

    ``everymask.export_onnx`` writes the same decoder, and the encoder beside it.
    """

    def __init__(
        self,
        model: Sam,
        return_single_mask: bool,
        use_stability_score: bool = False,
        return_extra_metrics: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.mask_decoder = model.mask_decoder
        self.img_size = model.spec.image_size
        self.return_single_mask = return_single_mask
        self.use_stability_score = use_stability_score
        self.stability_score_offset = 1.0
        self.return_extra_metrics = return_extra_metrics

    @staticmethod
    def resize_longest_image_size(input_image_size: Tensor, longest_side: int) -> Tensor:
        """Height and width of a photo in the model's square, int64 [2]."""
        size = input_image_size.to(torch.float32)
        return torch.floor(size * (longest_side / size.max()) + 0.5).to(torch.int64)

    @torch.no_grad()
    def forward(
        self,
        image_embeddings: Tensor,  # [1, C, h, w]
        point_coords: Tensor,  # [B, N, 2] model pixels
        point_labels: Tensor,  # [B, N]
        mask_input: Tensor,  # [1, 1, 4h, 4w]
        has_mask_input: Tensor,  # [1]
        orig_im_size: Tensor,  # [2] height and width
    ) -> tuple[Tensor, ...]:
        """Mask logits [B, M, H, W], scores [B, M] and low-resolution logits; with ``return_extra_metrics``
        stability scores and areas stand before the latter."""
        sparse = self._embed_points(point_coords, point_labels)
        dense = self._embed_masks(mask_input, has_mask_input)
        decoder: Any = self.model.mask_decoder
        masks, scores = decoder.predict_masks(
            image_embeddings=image_embeddings,
            image_pe=self.model.prompts.grid_position(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        threshold, offset = self.model.mask_threshold, self.stability_score_offset
        if self.use_stability_score:
            scores = calculate_stability_score(masks, threshold, offset)
        if self.return_single_mask:
            masks, scores = self.select_masks(masks, scores, point_coords.shape[1])
        upscaled = self.mask_postprocessing(masks, orig_im_size)
        if not self.return_extra_metrics:
            return upscaled, scores, masks
        stability = calculate_stability_score(upscaled, threshold, offset)
        areas = (upscaled > threshold).sum(-1).sum(-1)
        return upscaled, scores, stability, areas, masks

    def _embed_points(self, point_coords: Tensor, point_labels: Tensor) -> Tensor:
        return self.model.prompts.embed_points(point_coords, point_labels)

    def _embed_masks(self, input_mask: Tensor, has_mask_input: Tensor) -> Tensor:
        prompts = self.model.prompts
        return (
            has_mask_input * prompts.mask_downscaling(input_mask) + (1 - has_mask_input) * prompts.no_mask()
        )

    def mask_postprocessing(self, masks: Tensor, orig_im_size: Tensor) -> Tensor:
        """Low-resolution logits to the model's square, the padding cut off, to the photo."""
        square = F.interpolate(masks, (self.img_size, self.img_size), mode="bilinear", align_corners=False)
        kept = self.resize_longest_image_size(orig_im_size, self.img_size)
        square = square[..., : kept[0], : kept[1]]  # tensors, not numbers: traced, they stay inputs
        size = orig_im_size.to(torch.int64)
        return F.interpolate(square, size=(size[0], size[1]), mode="bilinear", align_corners=False)  # type: ignore[arg-type]

    def select_masks(self, masks: Tensor, iou_preds: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
        """One mask a prompt: that for clear prompts from three points on, else the best of the others."""
        favoured = torch.zeros(1, masks.shape[1], device=iou_preds.device)
        favoured[:, 0] = 1000
        best = (iou_preds + (num_points - 2.5) * favoured).argmax(dim=1)
        rows = torch.arange(masks.shape[0])
        return masks[rows, best].unsqueeze(1), iou_preds[rows, best].unsqueeze(1)
