"""``segment_anything.modeling.mask_decoder``."""

from __future__ import annotations

from torch import Tensor, nn

from everymask.compat.parts import MLP, decoder_spec, with_activation
from everymask.nn.mask_decoder import MaskDecoder as OurMaskDecoder

__all__ = ["MLP", "MaskDecoder"]


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
    ) -> None:
        spec = decoder_spec(transformer, num_multimask_outputs, iou_head_depth, iou_head_hidden_dim)
        super().__init__(transformer_dim, spec, transformer)
        with_activation(self.output_upscaling, activation)
        self.transformer_dim = transformer_dim
        self.num_multimask_outputs, self.num_mask_tokens = num_multimask_outputs, num_multimask_outputs + 1

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,  # [1, C, h, w], or one a prompt
        image_pe: Tensor,  # [1, C, h, w]
        sparse_prompt_embeddings: Tensor,  # [B, N, C]
        dense_prompt_embeddings: Tensor,  # [B, C, h, w]
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Mask logits [B, M, 4h, 4w] and IoU predictions [B, M]: the masks of an ambiguous prompt, or one."""
        masks, iou = self.predict_masks(
            image_embeddings=image_embeddings,
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse_prompt_embeddings,
            dense_prompt_embeddings=dense_prompt_embeddings,
        )
        which = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, which], iou[:, which]

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, all masks."""
        image = image_embeddings + dense_prompt_embeddings
        decoded = OurMaskDecoder.forward(self, image, image_pe, sparse_prompt_embeddings)
        return decoded.mask_logits, decoded.iou
