"""A row of the table as the arguments of ``SAM2Base``, as the official config files give them."""

from __future__ import annotations

from typing import Any

from torch import nn

from everymask.models.sam2 import trunk_of
from everymask.models.specs import MemorySpec, ModelSpec
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.memory.perceiver import Perceiver

from .backbones.hieradet import Hiera
from .backbones.image_encoder import FpnNeck, ImageEncoder
from .memory_attention import MemoryAttention, MemoryAttentionLayer
from .memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from .position_encoding import PositionEmbeddingSine
from .sam.transformer import RoPEAttention, RoPEAttentionv2

ALWAYS = {
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "multimask_output_in_sam": True,
    "multimask_output_for_tracking": True,
    "multimask_min_pt_num": 0,
    "multimask_max_pt_num": 1,
    "use_multimask_token_for_obj_ptr": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
}
"""What every model of the family has."""

WITH_POINTERS = {"use_obj_ptrs_in_encoder": True, "fixed_no_obj_ptr": True, "use_mlp_for_obj_ptr_proj": True}


def options(spec: ModelSpec) -> dict[str, Any]:
    """The arguments that are no modules."""
    decoder, memory = spec.decoder, spec.memory
    given = {
        **ALWAYS,
        "image_size": spec.image_size,
        "use_high_res_features_in_sam": decoder.high_res,
        "iou_prediction_use_sigmoid": decoder.iou_sigmoid,
        "pred_obj_scores": decoder.object_score,
        "pred_obj_scores_mlp": decoder.object_score,
        "sam_mask_decoder_extra_args": _fallback(spec),
        "num_maskmem": 0 if memory is None else memory.frames,
    }
    if memory is None:
        return given | {"add_tpos_enc_to_obj_ptrs": False}
    return (
        given
        | WITH_POINTERS
        | {
            "sigmoid_scale_for_mem_enc": memory.mask_scale,
            "sigmoid_bias_for_mem_enc": memory.mask_bias,
            "max_obj_ptrs_in_encoder": memory.pointers,
            "add_tpos_enc_to_obj_ptrs": memory.pointer_times,
            "proj_tpos_enc_in_obj_ptrs": memory.pointer_times,
            "use_signed_tpos_enc_to_obj_ptrs": memory.pointer_times,
            "no_obj_embed_spatial": memory.no_object_embedding,
        }
    )


def _fallback(spec: ModelSpec) -> dict[str, Any] | None:
    if spec.fallback is None:
        return None
    return {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": spec.fallback.offset,
        "dynamic_multimask_stability_thresh": spec.fallback.threshold,
    }


def arguments(spec: ModelSpec) -> dict[str, Any]:
    """All arguments, modules with fresh weights among them."""
    memory = spec.memory
    given = options(spec) | {"image_encoder": image_encoder(spec)}
    if memory is None:
        return given | {"memory_attention": None, "memory_encoder": None}
    given |= {
        "memory_attention": memory_attention(spec, memory),
        "memory_encoder": memory_encoder(spec.embed_dim, memory.dim),
    }
    perceiver = memory.perceiver
    return given if perceiver is None else given | {"spatial_perceiver": Perceiver(memory.dim, perceiver)}


def image_encoder(spec: ModelSpec) -> ImageEncoder:
    trunk, channels = official_trunk(spec)
    neck = FpnNeck(
        PositionEmbeddingSine(spec.embed_dim),
        spec.embed_dim,
        channels[::-1],
        fpn_interp_model="nearest",
        fpn_top_down_levels=[2, 3],
    )
    return ImageEncoder(trunk, neck, scalp=1)


def official_trunk(spec: ModelSpec) -> tuple[nn.Module, tuple[int, ...]]:
    """The trunk, by its official class where there is one, and the channels of its maps, finest first."""
    sizes = spec.trunk
    if isinstance(sizes, HieraSpec) and sizes.mlp_ratio == 4.0:
        hiera = Hiera(
            embed_dim=sizes.embed_dim,
            num_heads=sizes.num_heads,
            stages=sizes.stages,
            global_att_blocks=sizes.global_blocks,
            window_pos_embed_bkg_spatial_size=sizes.background_size,
            window_spec=sizes.window_sizes,
        )
        return hiera, sizes.channels
    trunk, channels = trunk_of(spec)
    trunk.channel_list = list(channels[::-1])  # type: ignore[assignment]
    return trunk, channels


def memory_attention(spec: ModelSpec, memory: MemorySpec) -> MemoryAttention:
    dim, side = spec.embed_dim, spec.embedding_hw
    common: dict[str, Any] = {"embedding_dim": dim, "num_heads": memory.heads, "dropout": 0.1}
    cross: RoPEAttention
    if memory.perceiver is None:
        cross = RoPEAttention(**common, kv_in_dim=memory.dim, rope_k_repeat=True, feat_sizes=side)
    else:
        grid = memory.perceiver.grid_hw
        cross = RoPEAttentionv2(**common, kv_in_dim=memory.dim, q_sizes=side, k_sizes=grid)
    layer = MemoryAttentionLayer(
        activation="relu",
        cross_attention=cross,
        d_model=dim,
        dim_feedforward=memory.mlp_dim,
        dropout=0.1,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=RoPEAttention(**common, feat_sizes=side),
    )
    return MemoryAttention(dim, pos_enc_at_input=True, layer=layer, num_layers=memory.layers)


def memory_encoder(dim: int, memory_dim: int) -> MemoryEncoder:
    return MemoryEncoder(
        out_dim=memory_dim,
        mask_downsampler=MaskDownSampler(dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(dim), num_layers=2),
        position_encoding=PositionEmbeddingSine(memory_dim),
        in_dim=dim,
    )
