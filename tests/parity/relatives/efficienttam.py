"""What the official EfficientTAM (PyPI ``efficient-track-anything``) makes of seeded weights: run by
``test_efficienttam.py``.

python -m tests.parity.relatives.efficienttam OUT.safetensors SPEC photo|clip [CLIP]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.plain_vit import PlainViTSpec
from tests.parity import official
from tests.parity.relatives.beside import install_torchvision
from tests.parity.relatives.edgetam import asked, in_double
from tests.parity.seeded import fill

SMALL = PlainViTSpec(48, 3, depth=3, global_blocks=(1, 2), window_size=3)
"""Windows that overhang 8 x 8 tokens, and a table of 14 x 14 positions that is shrunk."""


def small(name: str) -> ModelSpec:
    return replace(MODELS[name], image_size=128, trunk=SMALL)


SPECS = {
    "small": small("efficienttam_s"),
    "small_1": small("efficienttam_s_1"),
    "small_2": small("efficienttam_s_2"),
    "published": MODELS["efficienttam_ti_1"],
}


def official_efficienttam(spec: ModelSpec, *, video: bool) -> nn.Module:
    """The official model of the spec, made as its yaml file says."""
    from sam2.modeling.backbones.image_encoder import ImageEncoder, ViTDetNeck
    from sam2.modeling.backbones.vitdet import ViT
    from sam2.modeling.sam2_base import SAM2Base
    from sam2.sam2_video_predictor import SAM2VideoPredictor

    trunk, memory = spec.trunk, spec.memory
    assert isinstance(trunk, PlainViTSpec)
    assert memory is not None
    encoder = ImageEncoder(
        trunk=ViT(
            img_size=spec.image_size,
            patch_size=trunk.patch_size,
            embed_dim=trunk.embed_dim,
            depth=trunk.depth,
            num_heads=trunk.num_heads,
            mlp_ratio=trunk.mlp_ratio,
            window_size=trunk.window_size,
            window_block_indexes=[i for i in range(trunk.depth) if i not in trunk.global_blocks],
        ),
        neck=ViTDetNeck(official._sine(spec.embed_dim), spec.embed_dim, [trunk.embed_dim], neck_norm="LN"),
    )
    options: dict[str, Any] = {
        "image_encoder": encoder,
        "memory_attention": _memory_attention(spec),
        "memory_encoder": official._memory_encoder(spec),
        "num_maskmem": memory.frames,
        "image_size": spec.image_size,
        "sigmoid_scale_for_mem_enc": memory.mask_scale,
        "sigmoid_bias_for_mem_enc": memory.mask_bias,
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": False,
        "multimask_output_in_sam": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "add_tpos_enc_to_obj_ptrs": False,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "pred_obj_scores": True,
        "pred_obj_scores_mlp": True,
        "fixed_no_obj_ptr": True,
        "multimask_output_for_tracking": True,
        "use_multimask_token_for_obj_ptr": True,
        "multimask_min_pt_num": 0,
        "multimask_max_pt_num": 1,
        "use_mlp_for_obj_ptr_proj": True,
        "sam_mask_decoder_extra_args": {
            "dynamic_multimask_via_stability": True,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
    }
    model = (
        SAM2VideoPredictor(fill_hole_area=8, binarize_mask_from_pts_for_mem_enc=True, **options)
        if video
        else SAM2Base(**options)
    )
    return model.eval().requires_grad_(False)


def _memory_attention(spec: ModelSpec) -> nn.Module:
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.sam import transformer

    memory = spec.memory
    assert memory is not None
    cross = {
        None: transformer.RoPEAttention,
        "weighted": transformer.EfficientRoPEAttention1,
        "shifted": transformer.EfficientRoPEAttention2,
    }[memory.pooling]
    common = {
        "rope_theta": 10000.0,
        "feat_sizes": spec.embedding_hw,
        "embedding_dim": spec.embed_dim,
        "num_heads": memory.heads,
        "downsample_rate": 1,
        "dropout": 0.1,
    }
    layer = MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=memory.mlp_dim,
        dropout=0.1,
        pos_enc_at_attn=False,
        self_attention=transformer.RoPEAttention(**common),
        d_model=spec.embed_dim,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=cross(rope_k_repeat=True, kv_in_dim=memory.dim, **common),
    )
    return MemoryAttention(spec.embed_dim, pos_enc_at_input=True, layer=layer, num_layers=memory.layers)


# --- what is computed -----------------------------------------------------------------------------


def of_photo(spec: ModelSpec) -> dict[str, Tensor]:
    """Features, low-resolution logits and predicted IoUs for every prompt, in float32 and in float64."""
    from tests.video.parity import positions_in_double

    model = official_efficienttam(spec, video=False)
    fill(model)
    found = {f"float32.{name}": value for name, value in asked(spec, model).items()}
    with positions_in_double():
        exact = asked(spec, in_double(model))
    return found | {f"float64.{name}": value for name, value in exact.items()}


FRAMES = 30
CLICKS = {1: [[30.0, 40.0]], 2: [[110.0, 60.0]]}
"""On the first of the frames of ``tests.video.parity.moving_scene``, in pixels."""


def of_clip(spec: ModelSpec, clip: str) -> dict[str, Tensor]:
    """Logits of two objects, tracked one by one, both sides in float64 and with memories kept so."""
    from tests.video.parity import components_without_cuda, memories_kept_in, positions_in_double

    model: Any = official_efficienttam(spec, video=True)
    fill(model)
    model = in_double(model)
    with components_without_cuda(), positions_in_double(), memories_kept_in(torch.float64):
        tracks = []
        for points in CLICKS.values():
            state = model.init_state(clip)
            model.add_new_points(state, 0, 1, points, [1])
            tracks.append(torch.stack([logits[0, 0] for _, _, logits in model.propagate_in_video(state)]))
    return {"logits": torch.stack(tracks, dim=1)}


def main(out: str, size: str, what: str, clip: str = "") -> None:
    install_torchvision()
    with torch.no_grad():
        found = of_photo(SPECS[size]) if what == "photo" else of_clip(SPECS[size], clip)
    save_file({name: value.contiguous() for name, value in found.items()}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
