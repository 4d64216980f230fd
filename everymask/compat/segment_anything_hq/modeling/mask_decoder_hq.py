"""``segment_anything_hq.modeling.mask_decoder_hq``."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from everymask.compat.parts import MLP, decoder_spec, with_activation
from everymask.nn.choice import choose_masks
from everymask.nn.hq_decoder import HqMaskDecoder
from everymask.nn.records import Decoded

__all__ = ["MLP", "MaskDecoderHQ"]


class MaskDecoderHQ(HqMaskDecoder):
    """Built and called as the official class."""

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: nn.Module,
        num_multimask_outputs: int = 3,
        activation: type[nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        vit_dim: int = 1024,
    ) -> None:
        spec = decoder_spec(transformer, num_multimask_outputs, iou_head_depth, iou_head_hidden_dim)
        super().__init__(transformer_dim, replace(spec, early_dim=vit_dim), transformer)
        with_activation(self.output_upscaling, activation)
        self.transformer_dim = transformer_dim
        # as officially, the token of the finer mask counts
        self.num_multimask_outputs, self.num_mask_tokens = num_multimask_outputs, num_multimask_outputs + 2

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,  # [1, C, h, w]
        image_pe: Tensor,  # [1, C, h, w]
        sparse_prompt_embeddings: Tensor,  # [B, N, C]
        dense_prompt_embeddings: Tensor,  # [B, C, h, w]
        multimask_output: bool,
        hq_token_only: bool,
        interm_embeddings: list[Tensor] | Tensor,  # [1, h, w, E] each
    ) -> tuple[Tensor, Tensor]:
        """Mask logits [B, 1, 4h, 4w] and IoU predictions [B, 1]."""
        fine = self.fine_map(image_embeddings, interm_embeddings[0].permute(0, 3, 1, 2))
        decoded = self._decoded(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, fine
        )
        chosen = choose_masks(decoded, multimask_output, hq_token_only=hq_token_only)
        return chosen.mask_logits, chosen.iou

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        hq_features: Tensor,  # of fine_map
    ) -> tuple[Tensor, Tensor]:
        """All masks, the finer one last, [B, M + 1, 4h, 4w], and the IoU predictions of the others."""
        decoded = self._decoded(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, hq_features
        )
        assert decoded.hq_logits is not None
        return torch.cat([decoded.mask_logits, decoded.hq_logits], dim=1), decoded.iou

    def _decoded(
        self, image: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, fine: Tensor
    ) -> Decoded:
        return HqMaskDecoder.forward(self, image + dense, position, sparse, (fine,))
