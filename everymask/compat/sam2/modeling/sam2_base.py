"""``sam2.modeling.sam2_base``: :class:`SAM2Base` by its official constructor, with the official methods.

Letters: B objects on one frame, C channels, h x w the embedding grid, S = 16 h the model's square picture.
Features of a frame come "flat" as officially: [h * w, B, C].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.init import trunc_normal_

from everymask.compat.parts import CalledOfficially, PromptEncoder
from everymask.models.base import PromptableModel
from everymask.models.memory import ABSENT, SURE
from everymask.models.sam2 import Sam2
from everymask.models.specs import MemorySpec, ModelSpec
from everymask.nn.choice import choose_masks
from everymask.nn.memory.attention import MemoryAttention as OurMemoryAttention
from everymask.nn.records import Decoded, ImageFeatures
from everymask.nn.touched import untouched

from .backbones.image_encoder import ImageEncoder
from .sam.mask_decoder import MaskDecoder
from .sam.transformer import TwoWayTransformer
from .sam2_utils import MLP
from .tracking import Tracking

__all__ = ["NO_OBJ_SCORE", "SAM2Base"]

NO_OBJ_SCORE = ABSENT

_Heads = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class SAM2Base(Tracking, CalledOfficially, Sam2):
    """Our SAM 2 built of official parts; it and they take the official calls as well."""

    num_maskmem: int
    image_size: int
    backbone_stride: int
    sigmoid_scale_for_mem_enc: float
    sigmoid_bias_for_mem_enc: float
    binarize_mask_from_pts_for_mem_enc: bool
    use_mask_input_as_output_without_sam: bool
    max_cond_frames_in_attn: int
    directly_add_no_mem_embed: bool
    use_high_res_features_in_sam: bool
    multimask_output_in_sam: bool
    multimask_min_pt_num: int
    multimask_max_pt_num: int
    multimask_output_for_tracking: bool
    use_multimask_token_for_obj_ptr: bool
    iou_prediction_use_sigmoid: bool
    memory_temporal_stride_for_eval: int
    non_overlap_masks_for_mem_enc: bool
    use_obj_ptrs_in_encoder: bool
    max_obj_ptrs_in_encoder: int
    add_tpos_enc_to_obj_ptrs: bool
    proj_tpos_enc_in_obj_ptrs: bool
    use_signed_tpos_enc_to_obj_ptrs: bool
    only_obj_ptrs_in_the_past_for_eval: bool
    pred_obj_scores: bool
    pred_obj_scores_mlp: bool
    fixed_no_obj_ptr: bool
    soft_no_obj_ptr: bool
    use_mlp_for_obj_ptr_proj: bool
    sam_mask_decoder_extra_args: dict[str, Any] | None
    compile_image_encoder: bool

    def __init__(
        self,
        image_encoder: nn.Module,
        memory_attention: nn.Module,
        memory_encoder: nn.Module,
        num_maskmem: int = 7,
        image_size: int = 512,
        backbone_stride: int = 16,
        sigmoid_scale_for_mem_enc: float = 1.0,
        sigmoid_bias_for_mem_enc: float = 0.0,
        binarize_mask_from_pts_for_mem_enc: bool = False,
        use_mask_input_as_output_without_sam: bool = False,
        max_cond_frames_in_attn: int = -1,
        directly_add_no_mem_embed: bool = False,
        use_high_res_features_in_sam: bool = False,
        multimask_output_in_sam: bool = False,
        multimask_min_pt_num: int = 1,
        multimask_max_pt_num: int = 1,
        multimask_output_for_tracking: bool = False,
        use_multimask_token_for_obj_ptr: bool = False,
        iou_prediction_use_sigmoid: bool = False,
        memory_temporal_stride_for_eval: int = 1,
        non_overlap_masks_for_mem_enc: bool = False,
        use_obj_ptrs_in_encoder: bool = False,
        max_obj_ptrs_in_encoder: int = 16,
        add_tpos_enc_to_obj_ptrs: bool = True,
        proj_tpos_enc_in_obj_ptrs: bool = False,
        use_signed_tpos_enc_to_obj_ptrs: bool = False,
        only_obj_ptrs_in_the_past_for_eval: bool = False,
        pred_obj_scores: bool = False,
        pred_obj_scores_mlp: bool = False,
        fixed_no_obj_ptr: bool = False,
        soft_no_obj_ptr: bool = False,
        use_mlp_for_obj_ptr_proj: bool = False,
        no_obj_embed_spatial: bool = False,
        sam_mask_decoder_extra_args: dict[str, Any] | None = None,
        compile_image_encoder: bool = False,
        spatial_perceiver: nn.Module | None = None,
        *,
        spec: ModelSpec | None = None,
    ) -> None:
        """``spatial_perceiver`` is EdgeTAM's; nothing is compiled (``compile_image_encoder``); ``spec`` gives
        the sizes of prompt encoder and mask decoder where they are not SAM's."""
        options = dict(locals())
        parts = ("self", "__class__", "image_encoder", "memory_attention", "memory_encoder")
        PromptableModel.__init__(self, spec)  # type: ignore[arg-type]
        for name, value in options.items():
            if name not in (*parts, "no_obj_embed_spatial", "spatial_perceiver", "spec"):
                setattr(self, name, value)
        self.num_feature_levels = 3 if use_high_res_features_in_sam else 1
        self.image_encoder = image_encoder  # type: ignore[assignment]
        self.memory_attention = memory_attention  # type: ignore[assignment]
        self.memory_encoder = memory_encoder  # type: ignore[assignment]
        self.spatial_perceiver = spatial_perceiver  # type: ignore[assignment]
        self.hidden_dim = dim = int(image_encoder.neck.d_model)  # type: ignore[union-attr, arg-type]
        narrowing = getattr(getattr(memory_encoder, "out_proj", None), "weight", None)
        self.mem_dim = dim if narrowing is None else len(narrowing)
        if use_obj_ptrs_in_encoder:
            self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.maskmem_tpos_enc = _drawn(num_maskmem, 1, 1, self.mem_dim)
        self.no_mem_embed, self.no_mem_pos_enc = _drawn(1, 1, dim), _drawn(1, 1, dim)
        if pred_obj_scores and use_obj_ptrs_in_encoder:
            self.no_obj_ptr = _drawn(1, dim)
        absent = _drawn(1, self.mem_dim) if no_obj_embed_spatial else None
        self.no_obj_embed_spatial = absent  # type: ignore[assignment]
        self._build_sam_heads()
        self.spec = self._described() if spec is None else spec

    @classmethod
    def of(cls, spec: ModelSpec, **options: Any) -> Self:
        """The model of a row of the table, as the official config files have it, but for ``options``."""
        from .from_spec import arguments

        model = cls(**{**arguments(spec), **options}, spec=spec)
        if spec.memory is None:
            del model.maskmem_tpos_enc, model.no_mem_pos_enc
        elif options:
            model.spec = replace(
                spec,
                decoder=model.sam_mask_decoder.spec,
                memory=model._described().memory,
                fallback=model.sam_mask_decoder.fallback,
            )
        return model

    def _build_sam_heads(self) -> None:
        """Prompt encoder, mask decoder, and what makes object pointers of its tokens."""
        dim = self.sam_prompt_embed_dim = self.hidden_dim
        side = self.sam_image_embedding_size = self.image_size // self.backbone_stride
        sizes = None if self.spec is None else self.spec.decoder
        self.sam_prompt_encoder = PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(side, side),
            input_image_size=(self.image_size, self.image_size),
            mask_in_chans=16 if self.spec is None else self.spec.mask_channels,
        )
        options: dict[str, Any] = {
            "use_high_res_features": self.use_high_res_features_in_sam,
            "iou_prediction_use_sigmoid": self.iou_prediction_use_sigmoid,
            "pred_obj_scores": self.pred_obj_scores,
            "pred_obj_scores_mlp": self.pred_obj_scores_mlp,
            "use_multimask_token_for_obj_ptr": self.use_multimask_token_for_obj_ptr,
            **(self.sam_mask_decoder_extra_args or {}),
        }
        if sizes is None:
            transformer = TwoWayTransformer(depth=2, embedding_dim=dim, mlp_dim=2048, num_heads=8)
            decoder = MaskDecoder(transformer_dim=dim, transformer=transformer, **options)
        else:
            transformer = TwoWayTransformer(sizes.depth, dim, sizes.heads, sizes.mlp_dim)
            decoder = MaskDecoder.sized(dim, sizes, transformer, **options)
        self.sam_mask_decoder: MaskDecoder = decoder
        self.obj_ptr_proj: nn.Module = nn.Identity()  # type: ignore[assignment]
        if self.use_obj_ptrs_in_encoder and self.use_mlp_for_obj_ptr_proj:
            self.obj_ptr_proj = MLP(dim, dim, dim, 3)
        elif self.use_obj_ptrs_in_encoder:
            self.obj_ptr_proj = nn.Linear(dim, dim)
        projects = self.proj_tpos_enc_in_obj_ptrs
        self.obj_ptr_tpos_proj = nn.Linear(dim, self.mem_dim) if projects else nn.Identity()  # type: ignore[assignment]

    def _described(self) -> ModelSpec:
        """What parts that were put together make: a model of nobody's table."""
        attention: Any = self.memory_attention
        layer = attention.layers[0] if isinstance(attention, OurMemoryAttention) else None
        memory = MemorySpec(
            dim=self.mem_dim,
            frames=self.num_maskmem,
            pointers=self.max_obj_ptrs_in_encoder,
            layers=1 if layer is None else len(attention.layers),
            heads=1 if layer is None else attention.heads,
            mlp_dim=getattr(layer, "dim_feedforward", 2048),
            mask_scale=self.sigmoid_scale_for_mem_enc,
            mask_bias=self.sigmoid_bias_for_mem_enc,
            perceiver=getattr(self.spatial_perceiver, "spec", None),
            pointer_times=self.add_tpos_enc_to_obj_ptrs,
            no_object_embedding=self.no_obj_embed_spatial is not None,
        )
        return ModelSpec(
            "custom_sam2",
            "sam2",
            getattr(getattr(self.image_encoder, "trunk", None), "spec", None),  # type: ignore[arg-type]
            image_size=self.image_size,
            embed_dim=self.hidden_dim,
            decoder=self.sam_mask_decoder.spec,
            memory=memory if self.num_maskmem > 0 else None,
            fallback=self.sam_mask_decoder.fallback,
            generator={"pred_iou_thresh": 0.8},
        )

    # --- the image --------------------------------------------------------------------------------

    def forward_image(self, img_batch: Tensor) -> dict[str, Any]:
        """The image encoder's answer, the two finest maps narrowed as the mask decoder takes them."""
        levels = self._fast_levels(img_batch)
        if levels is not None:
            encoder: Any = self.image_encoder
            places = [encoder.neck.position_encoding(level).to(level.dtype) for level in levels]
            return {"vision_features": levels[-1], "vision_pos_enc": places, "backbone_fpn": levels}
        found: dict[str, Any] = self.image_encoder(img_batch)  # type: ignore[assignment]
        for index, head in enumerate(self._high_res_heads):
            found["backbone_fpn"][index] = head(found["backbone_fpn"][index])
        return found

    @property
    def _high_res_heads(self) -> tuple[nn.Conv2d, ...]:
        decoder = self.sam_mask_decoder
        return (decoder.conv_s0, decoder.conv_s1) if self.use_high_res_features_in_sam else ()

    def _fast_levels(self, pixels: Tensor) -> list[Tensor] | None:
        """The maps of :meth:`forward_image`; None where somebody touched what makes them."""
        encoder = self.image_encoder
        return encoder.fast(pixels, self._high_res_heads) if isinstance(encoder, ImageEncoder) else None

    def encode_frame(self, pixels: Tensor) -> ImageFeatures:
        pixels = pixels.to(self.dtype)
        ours = type(self).forward_image is SAM2Base.forward_image  # not that of a subclass
        levels = self._fast_levels(pixels) if ours else None
        if levels is None:
            levels = self.forward_image(pixels)["backbone_fpn"]
        *fine, coarse = levels[-self.num_feature_levels :]
        return ImageFeatures(coarse, tuple(fine))

    def without_memory(self, features: ImageFeatures) -> ImageFeatures:
        return super().without_memory(features) if self.directly_add_no_mem_embed else features

    def _prepare_backbone_features(
        self, backbone_out: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Tensor], list[Tensor], list[tuple[int, int]]]:
        """The maps and their position codes, flat, and the maps' sizes."""
        maps, positions = (
            backbone_out[name][-self.num_feature_levels :] for name in ("backbone_fpn", "vision_pos_enc")
        )
        sizes = [(level.shape[-2], level.shape[-1]) for level in positions]
        flat_maps, flat_positions = (
            [level.flatten(2).permute(2, 0, 1) for level in levels] for levels in (maps, positions)
        )
        return dict(backbone_out), flat_maps, flat_positions, sizes

    # --- prompts ----------------------------------------------------------------------------------

    def choose(self, decoded: Decoded, multimask: bool) -> Decoded:
        decoder = self.sam_mask_decoder
        fallback = decoder.fallback if isinstance(decoder, MaskDecoder) else self.spec.fallback
        return choose_masks(decoded, multimask, fallback)

    def _forward_sam_heads(
        self,
        backbone_features: Tensor,  # [B, C, h, w]
        point_inputs: dict[str, Tensor] | None = None,  # point_coords [B, N, 2], point_labels [B, N]
        mask_inputs: Tensor | None = None,  # [B, 1, H, W]
        high_res_features: list[Tensor] | None = None,
        multimask_output: bool = False,
    ) -> _Heads:
        """All masks [B, M, 4h, 4w], the same at [S, S], their IoUs [B, M]; the best mask at both sizes
        [B, 1, ...], the object pointer [B, C], the object score [B, 1]."""
        count, device = len(backbone_features), backbone_features.device
        if point_inputs is None:
            points = torch.zeros(count, 1, 2, device=device)
            labels = torch.full((count, 1), -1, dtype=torch.int32, device=device)
        else:
            points, labels = point_inputs["point_coords"], point_inputs["point_labels"]
        prompts: Any = self.sam_prompt_encoder
        if mask_inputs is not None and tuple(mask_inputs.shape[-2:]) != tuple(prompts.mask_input_size):
            mask_inputs = F.interpolate(
                mask_inputs.float(),
                size=prompts.mask_input_size,
                mode="bilinear",
                align_corners=False,
                antialias=True,
            )
        sparse, dense = prompts(points=(points, labels), boxes=None, masks=mask_inputs)
        masks, ious, tokens, object_score_logits = self.sam_mask_decoder(
            image_embeddings=backbone_features,
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
            repeat_image=False,
            high_res_features=high_res_features,
        )
        if self.pred_obj_scores:
            masks = torch.where((object_score_logits > 0)[:, None, None], masks, NO_OBJ_SCORE)
        masks = masks.float()
        large = F.interpolate(
            masks, size=(self.image_size, self.image_size), mode="bilinear", align_corners=False
        )
        rows = torch.arange(count, device=device)
        best = ious.argmax(dim=-1) if multimask_output else torch.zeros_like(rows)
        token = tokens[rows, best] if tokens.size(1) > 1 else tokens[:, 0]
        pointer = self.obj_ptr_proj(token)
        if self.pred_obj_scores:
            there = object_score_logits.sigmoid() if self.soft_no_obj_ptr else object_score_logits > 0
            pointer = self._with_absence(pointer, there.float())
        return (
            masks,
            large,
            ious,
            masks[rows, best][:, None],
            large[rows, best][:, None],
            pointer,
            object_score_logits,
        )

    def _use_mask_as_output(
        self, backbone_features: Tensor, high_res_features: list[Tensor] | None, mask_inputs: Tensor
    ) -> _Heads:
        """Masks 0 / 1 [B, 1, S, S] as the answer, in the form of :meth:`_forward_sam_heads`."""
        given = mask_inputs.float()
        large = given * (2 * SURE) - SURE
        small = F.interpolate(
            large,
            size=(large.shape[-2] // 4, large.shape[-1] // 4),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        ious = given.new_ones(len(given), 1)
        if self.use_obj_ptrs_in_encoder:
            pointer = self._forward_sam_heads(
                backbone_features=backbone_features,
                mask_inputs=self.mask_downsample(given.to(self.dtype)),
                high_res_features=high_res_features,
            )[5]
        else:
            pointer = torch.zeros(len(given), self.hidden_dim, device=given.device)
        there = (given.flatten(1) > 0).any(dim=1)[:, None].float()
        if self.pred_obj_scores:
            pointer = self._with_absence(pointer, there)
        return small, large, ious, small, large, pointer, there * (2 * SURE) - SURE

    def _with_absence(self, pointer: Tensor, there: Tensor) -> Tensor:
        """Pointers [B, C] of objects that are there by ``there`` [B, 1], 0 to 1."""
        if self.fixed_no_obj_ptr:
            pointer = there * pointer
        return pointer + (1 - there) * self.no_obj_ptr

    # --- memory, for models/memory.py ----------------------------------------------------------------

    def recall(
        self,
        embedding: Tensor,
        tokens: Tensor,
        position: Tensor,
        *,
        unplaced: int,
        product_dtype: torch.dtype | None = None,
        begun: Tensor | None = None,
    ) -> Tensor:
        attention: Any = self.memory_attention
        if isinstance(attention, OurMemoryAttention) and untouched(attention, embedding, tokens):
            return OurMemoryAttention.forward(
                attention,
                embedding,
                self.frame_position(),
                tokens,
                position,
                memory_grid=self.memory_grid,
                unplaced=unplaced,
                product_dtype=product_dtype,
                begun=begun,
            )
        objects = len(tokens)
        flat = (
            x.expand(objects, -1, -1, -1).flatten(2).permute(2, 0, 1)
            for x in (embedding, self.frame_position())
        )
        frame, place = flat
        answer = attention(
            curr=[frame],
            curr_pos=[place],
            memory=tokens.transpose(0, 1).to(frame.dtype),
            memory_pos=position.transpose(0, 1),
            num_obj_ptr_tokens=unplaced,
        )
        return answer.permute(1, 2, 0).unflatten(2, embedding.shape[-2:])

    def memorise(self, embedding: Tensor, mask: Tensor) -> Tensor:
        found: Any = self.memory_encoder(embedding, mask, skip_mask_sigmoid=True)  # type: ignore[call-arg]
        return found["vision_features"]


def _drawn(*shape: int) -> nn.Parameter:
    return nn.Parameter(trunc_normal_(torch.zeros(*shape), std=0.02))
