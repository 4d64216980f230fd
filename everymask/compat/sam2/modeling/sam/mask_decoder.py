"""``sam2.modeling.sam.mask_decoder``."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from everymask.compat.parts import decoder_spec, with_activation
from everymask.nn.choice import StabilityFallback, choose_masks, single_mask_stability
from everymask.nn.mask_decoder import DecoderSpec
from everymask.nn.mask_decoder import MaskDecoder as OurMaskDecoder
from everymask.nn.records import Decoded

__all__ = ["MaskDecoder"]

PRESENT = 10.0
"""The object's score where the decoder has none: it is taken to be there."""


class MaskDecoder(OurMaskDecoder):
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
        use_high_res_features: bool = False,
        iou_prediction_use_sigmoid: bool = False,
        dynamic_multimask_via_stability: bool = False,
        dynamic_multimask_stability_delta: float = 0.05,
        dynamic_multimask_stability_thresh: float = 0.98,
        pred_obj_scores: bool = False,
        pred_obj_scores_mlp: bool = False,
        use_multimask_token_for_obj_ptr: bool = False,
    ) -> None:
        spec = decoder_spec(
            transformer,
            num_multimask_outputs,
            iou_head_depth,
            iou_head_hidden_dim,
            iou_sigmoid=iou_prediction_use_sigmoid,
            mlp_block=False,
            high_res=use_high_res_features,
            object_score=pred_obj_scores,
        )
        super().__init__(transformer_dim, spec, transformer)
        with_activation(self.output_upscaling, activation)
        if pred_obj_scores and not pred_obj_scores_mlp:
            self.pred_obj_score_head = nn.Linear(transformer_dim, 1)  # type: ignore[assignment]
        self.transformer_dim = transformer_dim
        self.num_multimask_outputs, self.num_mask_tokens = num_multimask_outputs, num_multimask_outputs + 1
        self.pred_obj_scores, self.use_high_res_features = pred_obj_scores, use_high_res_features
        self.use_multimask_token_for_obj_ptr = use_multimask_token_for_obj_ptr
        self.dynamic_multimask_via_stability = dynamic_multimask_via_stability
        self.dynamic_multimask_stability_delta = dynamic_multimask_stability_delta
        self.dynamic_multimask_stability_thresh = dynamic_multimask_stability_thresh

    @classmethod
    def sized(cls, dim: int, spec: DecoderSpec, transformer: nn.Module, **options: Any) -> MaskDecoder:
        """The decoder with the sizes of a model of the table; ``options`` as above."""
        return cls(
            transformer_dim=dim,
            transformer=transformer,
            num_multimask_outputs=spec.masks - 1,
            iou_head_depth=spec.iou_depth,
            iou_head_hidden_dim=spec.iou_hidden_dim,
            **options,
        )

    @property
    def fallback(self) -> StabilityFallback | None:
        """What is done about an unstable single mask, as the three attributes have it now."""
        if not self.dynamic_multimask_via_stability:
            return None
        return StabilityFallback(
            self.dynamic_multimask_stability_delta, self.dynamic_multimask_stability_thresh
        )

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,  # [1 or B, C, h, w]
        image_pe: Tensor,  # [1, C, h, w]
        sparse_prompt_embeddings: Tensor,  # [B, N, C]
        dense_prompt_embeddings: Tensor,  # [B, C, h, w]
        multimask_output: bool,
        repeat_image: bool,
        high_res_features: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mask logits [B, M, 4h, 4w], IoU predictions [B, M], mask tokens [B, M, C], object score [B, 1].

        ``repeat_image`` makes no difference: one image serves all prompts without being repeated.
        """
        masks, iou, tokens, object_score_logits = self.predict_masks(
            image_embeddings=image_embeddings,
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse_prompt_embeddings,
            dense_prompt_embeddings=dense_prompt_embeddings,
            repeat_image=repeat_image,
            high_res_features=high_res_features,
        )
        chosen = choose_masks(
            Decoded(masks, iou, tokens), multimask_output, None if self.training else self.fallback
        )
        ours = multimask_output and self.use_multimask_token_for_obj_ptr
        return chosen.mask_logits, chosen.iou, tokens[:, 1:] if ours else tokens[:, :1], object_score_logits

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        repeat_image: bool,
        high_res_features: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As :meth:`forward`, all masks."""
        image = image_embeddings + dense_prompt_embeddings
        fine = cast("tuple[Tensor, ...]", tuple(high_res_features or ()))
        decoded = OurMaskDecoder.forward(self, image, image_pe, sparse_prompt_embeddings, fine)
        score = decoded.object_logit
        if score is None:
            score = PRESENT * decoded.iou.new_ones(len(decoded.iou), 1)
        return decoded.mask_logits, decoded.iou, decoded.mask_tokens, score

    def _get_stability_scores(self, mask_logits: Tensor) -> Tensor:
        """The stability of mask logits [..., h, w]."""
        return single_mask_stability(mask_logits, self.dynamic_multimask_stability_delta)

    def _dynamic_multimask_via_stability(
        self, all_mask_logits: Tensor, all_iou_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The single masks, or where these are unstable the best of the others."""
        rule = StabilityFallback(
            self.dynamic_multimask_stability_delta, self.dynamic_multimask_stability_thresh
        )
        none = torch.empty(len(all_iou_scores), all_iou_scores.shape[1], 0)
        chosen = choose_masks(Decoded(all_mask_logits, all_iou_scores, none), False, rule)
        return chosen.mask_logits, chosen.iou
