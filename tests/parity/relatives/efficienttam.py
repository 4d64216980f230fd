"""What the official EfficientTAM (PyPI ``efficient-track-anything``) makes of seeded weights: run by
``test_efficienttam.py``.

python -m tests.parity.relatives.efficienttam OUT.safetensors SPEC photo|clip [CLIP]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.plain_vit import PlainViTSpec
from tests.parity import official
from tests.parity.relatives.asking import answer

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
CLIP_PROMPTS: dict[int, dict[str, Any]] = {
    1: {"points": [[30.0, 40.0]], "labels": [1]},
    2: {"points": [[110.0, 60.0]], "labels": [1]},
}


def official_efficienttam(spec: ModelSpec, *, video: bool) -> nn.Module:
    """The official model of the spec, made as its yaml file says."""
    from sam2.modeling.backbones.image_encoder import ImageEncoder, ViTDetNeck
    from sam2.modeling.backbones.vitdet import ViT
    from sam2.modeling.sam import transformer

    trunk, memory = spec.trunk, spec.memory
    assert isinstance(trunk, PlainViTSpec)
    assert memory is not None
    vit = ViT(
        img_size=spec.image_size,
        patch_size=trunk.patch_size,
        embed_dim=trunk.embed_dim,
        depth=trunk.depth,
        num_heads=trunk.num_heads,
        mlp_ratio=trunk.mlp_ratio,
        window_size=trunk.window_size,
        window_block_indexes=[i for i in range(trunk.depth) if i not in trunk.global_blocks],
    )
    neck = ViTDetNeck(official.sine(spec.embed_dim), spec.embed_dim, [trunk.embed_dim], neck_norm="LN")
    cross_attention = {
        None: transformer.RoPEAttention,
        "weighted": transformer.EfficientRoPEAttention1,
        "shifted": transformer.EfficientRoPEAttention2,
    }[memory.pooling]
    model = official.official_sam2(
        spec,
        video=video,
        image_encoder=ImageEncoder(trunk=vit, neck=neck),
        cross_attention=cross_attention(
            rope_k_repeat=True,
            kv_in_dim=memory.dim,
            feat_sizes=spec.embedding_hw,
            **official.attention_options(spec),
        ),
    )
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    answer(official_efficienttam, SPECS, CLIP_PROMPTS)
