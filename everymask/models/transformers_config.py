"""The ``config.json`` that ``transformers`` reads beside a model's weights, from our spec of the model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from everymask.models.specs import ModelSpec
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.repvit import RepViTSpec
from everymask.nn.encoders.vit import ViTSpec

Config = dict[str, Any]


def transformers_config(spec: ModelSpec) -> Config:
    """What ``from_pretrained`` of ``transformers`` needs to make the same model.

    The class it is for is named in ``architectures``: ``SamModel``, ``SamHQModel``, ``Sam2VideoModel``,
    ``Sam2Model`` (no memory), ``EdgeTamVideoModel`` or ``EdgeTamModel``. Raises ValueError for another model.
    """
    match spec.trunk:
        case ViTSpec():
            return _sam(spec, spec.trunk)
        case HieraSpec():
            vision = _vision(spec, "sam2_vision_model", spec.trunk.channels, _hiera(spec, spec.trunk))
            return _sam2(spec, "sam2", "Sam2", vision)
        case RepViTSpec():
            vision = _vision(spec, "edgetam_vision_model", spec.trunk.channels, _TIMM)
            return _sam2(spec, "edgetam", "EdgeTam", vision)
    raise ValueError(f"transformers has no {spec.name}")


def _sam(spec: ModelSpec, trunk: ViTSpec) -> Config:
    is_hq = spec.decoder.early_dim is not None
    return {
        "architectures": ["SamHQModel" if is_hq else "SamModel"],
        "model_type": "sam_hq" if is_hq else "sam",
        "vision_config": {
            "hidden_size": trunk.embed_dim,
            "num_hidden_layers": trunk.depth,
            "num_attention_heads": trunk.num_heads,
            "global_attn_indexes": list(trunk.global_blocks),
            "window_size": trunk.window_size,
            "patch_size": trunk.patch_size,
            "image_size": spec.image_size,
            "mlp_dim": int(trunk.embed_dim * trunk.mlp_ratio),
            "output_channels": spec.embed_dim,
            "num_pos_feats": spec.embed_dim // 2,
        },
        "prompt_encoder_config": {
            **_prompts(spec),
            "image_embedding_size": spec.image_size // trunk.patch_size,
        },
        "mask_decoder_config": _decoder(spec) | ({"vit_dim": spec.decoder.early_dim} if is_hq else {}),
    }


def _sam2(spec: ModelSpec, kind: str, name: str, vision: Config) -> Config:
    photos: Config = {
        "architectures": [f"{name}Model"],
        "model_type": kind,
        "vision_config": vision,
        "prompt_encoder_config": _prompts(spec),
        "mask_decoder_config": _decoder(spec) | _fallback(spec),
    }
    memory = spec.memory
    if memory is None:
        return photos
    cells = spec.image_size // 16
    video: Config = {
        "architectures": [f"{name}VideoModel"],
        "model_type": f"{kind}_video",
        "image_size": spec.image_size,
        "num_maskmem": memory.frames,
        "sigmoid_scale_for_mem_enc": memory.mask_scale,
        "sigmoid_bias_for_mem_enc": memory.mask_bias,
        "max_object_pointers_in_encoder": memory.pointers,
        "enable_temporal_pos_encoding_for_object_pointers": memory.pointer_times,
        "enable_occlusion_spatial_embedding": memory.no_object_embedding,
        "memory_attention_hidden_size": spec.embed_dim,
        "memory_attention_num_layers": memory.layers,
        "memory_attention_num_attention_heads": memory.heads,
        "memory_attention_rope_feat_sizes": [cells, cells],
        "memory_encoder_hidden_size": spec.embed_dim,
        "memory_encoder_output_channels": memory.dim,
        "mask_downsampler_embed_dim": spec.embed_dim,
        "memory_fuser_embed_dim": spec.embed_dim,
        "memory_fuser_intermediate_dim": 4 * spec.embed_dim,
    }
    if memory.perceiver is None:
        video["memory_attention_feed_forward_hidden_size"] = memory.mlp_dim
    else:
        sizes = asdict(memory.perceiver)
        video |= {
            "memory_attention_rope_k_sizes": list(memory.perceiver.grid_hw),
            "memory_attention_mlp_hidden_size": memory.mlp_dim,
            "perceiver_resampler_num_latents": sizes["unplaced"],
            "perceiver_resampler_num_latents_2d": sizes["placed"],
            "perceiver_resampler_num_layers": sizes["layers"],
            "perceiver_resampler_hidden_size": memory.dim,
            "perceiver_resampler_mlp_intermediate_size": sizes["expansion"] * memory.dim,
            "perceiver_resampler_attention_head_dim": memory.dim,
            "perceiver_resampler_num_attention_heads": 1,
        }
    return photos | video


def _vision(spec: ModelSpec, kind: str, channels: tuple[int, ...], backbone: Config) -> Config:
    """``channels`` of the trunk's maps, finest first."""
    return {
        "model_type": kind,
        "backbone_config": backbone,
        "backbone_channel_list": list(channels[::-1]),
        "backbone_feature_sizes": [[spec.image_size // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": spec.embed_dim,
        "num_feature_levels": 3,
    }


def _hiera(spec: ModelSpec, trunk: HieraSpec) -> Config:
    return {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": trunk.embed_dim,
        "num_attention_heads": trunk.num_heads,
        "image_size": [spec.image_size, spec.image_size],
        "blocks_per_stage": list(trunk.stages),
        "embed_dim_per_stage": list(trunk.channels),
        "num_attention_heads_per_stage": [trunk.num_heads * 2**stage for stage in range(len(trunk.stages))],
        "window_size_per_stage": list(trunk.window_sizes),
        "global_attention_blocks": list(trunk.global_blocks),
        "window_positional_embedding_background_size": list(trunk.background_size),
        "mlp_ratio": trunk.mlp_ratio,
    }


_TIMM: Config = {
    "model_type": "timm_wrapper",
    "architecture": "repvit_m1",
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}


def _prompts(spec: ModelSpec) -> Config:
    return {
        "hidden_size": spec.embed_dim,
        "image_size": spec.image_size,
        "patch_size": 16,
        "mask_input_channels": spec.mask_channels,
    }


def _decoder(spec: ModelSpec) -> Config:
    decoder = spec.decoder
    return {
        "hidden_size": spec.embed_dim,
        "num_hidden_layers": decoder.depth,
        "num_attention_heads": decoder.heads,
        "mlp_dim": decoder.mlp_dim,
        "num_multimask_outputs": decoder.masks - 1,
        "iou_head_depth": decoder.iou_depth,
        "iou_head_hidden_dim": decoder.iou_hidden_dim,
    }


def _fallback(spec: ModelSpec) -> Config:
    if spec.fallback is None:
        return {"dynamic_multimask_via_stability": False}
    return {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": spec.fallback.offset,
        "dynamic_multimask_stability_thresh": spec.fallback.threshold,
    }
