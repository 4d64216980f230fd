"""What the official EdgeTAM (PyPI ``edgetam-dimos``) makes of seeded weights: run by ``test_edgetam.py``.

python -m tests.parity.relatives.edgetam OUT.safetensors small photo|clip [CLIP]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.repvit import RepViTSpec
from everymask.nn.memory.perceiver import PerceiverSpec
from tests.parity import official
from tests.parity.relatives.beside import install_torchvision
from tests.parity.seeded import fill

_MEMORY = MODELS["edgetam"].memory
assert _MEMORY is not None
SPECS = {
    "small": replace(  # windows of 2 x 2 cells, and more latents without a place than with one
        MODELS["edgetam"],
        image_size=128,
        trunk=RepViTSpec((16, 24, 32, 40), (1, 2, 3, 1)),
        memory=replace(_MEMORY, perceiver=PerceiverSpec(placed=16, unplaced=20)),
    ),
    "published": MODELS["edgetam"],
}


def official_edgetam(spec: ModelSpec, *, video: bool) -> nn.Module:
    """The official model of the spec, made as its yaml file says."""
    memory, trunk = spec.memory, spec.trunk
    assert memory is not None
    assert memory.perceiver is not None
    assert isinstance(trunk, RepViTSpec)
    from sam2.modeling.backbones import timm
    from sam2.modeling.perceiver import PerceiverResampler
    from sam2.modeling.sam2_base import SAM2Base
    from timm.models import create_model

    def made(name: str, **given: Any) -> nn.Module:  # the official one downloads ImageNet weights
        sizes = {"embed_dim": trunk.dims, "depth": trunk.depths}
        return create_model(name, **{**given, "pretrained": False, **sizes})

    perceiver = PerceiverResampler(
        depth=memory.perceiver.layers,
        dim=memory.dim,
        dim_head=memory.dim,
        heads=1,
        ff_mult=memory.perceiver.expansion,
        hidden_dropout_p=0.0,
        attention_dropout_p=0.0,
        pos_enc_at_key_value=True,
        concat_kv_latents=False,
        num_latents=memory.perceiver.unplaced,
        num_latents_2d=memory.perceiver.placed,
        position_encoding=official._sine(memory.dim),
        use_self_attn=True,
    )

    def trunk_of(_: ModelSpec) -> nn.Module:
        return timm.TimmBackbone("repvit_m1", [f"layer{index}" for index in range(4)])

    plain_init = SAM2Base.__init__

    def with_perceiver(self: Any, *args: Any, **options: Any) -> None:
        plain_init(self, *args, spatial_perceiver=perceiver, **options)

    with (
        mock.patch.object(timm, "create_model", made),
        mock.patch.object(official, "_official_trunk", trunk_of),
        mock.patch.object(official, "trunk_channels", return_value=trunk.dims),
        mock.patch.object(official, "_memory_attention", _memory_attention),
        mock.patch.object(SAM2Base, "__init__", with_perceiver),
    ):
        return official.official_sam2(spec, video=video).eval().requires_grad_(False)


def _memory_attention(spec: ModelSpec) -> nn.Module:
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.sam.transformer import RoPEAttention, RoPEAttentionv2

    memory = spec.memory
    assert memory is not None
    assert memory.perceiver is not None
    common = {
        "rope_theta": 10000.0,
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
        self_attention=RoPEAttention(feat_sizes=spec.embedding_hw, **common),
        d_model=spec.embed_dim,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=RoPEAttentionv2(
            q_sizes=spec.embedding_hw, k_sizes=memory.perceiver.grid_hw, kv_in_dim=memory.dim, **common
        ),
    )
    return MemoryAttention(spec.embed_dim, pos_enc_at_input=True, layer=layer, num_layers=memory.layers)


# --- what is computed -----------------------------------------------------------------------------

CLICK, BOX = ((0.3, 0.4),), (0.2, 0.3, 0.7, 0.8)
"""In shares of the picture."""
PROMPTS: dict[str, dict[str, Any]] = {
    "click": {"points": CLICK, "labels": (1,), "multimask": True},
    "two clicks": {"points": (*CLICK, (0.8, 0.2)), "labels": (1, 0), "multimask": False},
    "box": {"box": BOX, "multimask": False},
    "box and click": {"points": CLICK, "labels": (1,), "box": BOX, "multimask": True},
}
PHOTO = (97, 201, 4)  # height, width, seed


def of_photo(spec: ModelSpec) -> dict[str, Tensor]:
    """Features, low-resolution logits and predicted IoUs for every prompt, in float32 and in float64."""
    from tests.video.parity import positions_in_double

    model = official_edgetam(spec, video=False)
    fill(model)
    found = {f"float32.{name}": value for name, value in asked(spec, model).items()}
    with positions_in_double():
        exact = asked(spec, in_double(model))
    return found | {f"float64.{name}": value for name, value in exact.items()}


def in_double(model: Any) -> Any:
    """The model in float64, whose parts take float32 and the bfloat16 of memories as well."""
    from tests.video.parity import _cast_inputs

    model = model.double()
    parts = [
        model.image_encoder,
        model.memory_attention,
        model.memory_encoder,
        model.mask_downsample,
        model.sam_prompt_encoder.mask_downscaling,
    ]
    if hasattr(model, "spatial_perceiver"):
        parts.append(model.spatial_perceiver)
    for part in parts:
        part.register_forward_pre_hook(_cast_inputs(torch.float64), with_kwargs=True)
    return model


def asked(spec: ModelSpec, model: Any) -> dict[str, Tensor]:
    import numpy as np
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    from tests.parity.conftest import seeded_photo

    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(spec.image_size // stride,) * 2 for stride in (4, 8, 16)]
    height, width, _ = PHOTO
    predictor.set_image(seeded_photo(*PHOTO))
    stored = predictor._features
    found = {"embedding": stored["image_embed"]}
    found |= {f"high_res.{n}": each for n, each in enumerate(stored["high_res_feats"])}
    size = np.array([width, height])
    for name, prompt in PROMPTS.items():
        points, labels, box = (prompt.get(key) for key in ("points", "labels", "box"))
        _, iou, logits = predictor.predict(
            None if points is None else np.array(points) * size,
            None if labels is None else np.array(labels),
            None if box is None else np.array(box) * np.tile(size, 2),
            multimask_output=prompt["multimask"],
        )
        found |= {f"{name}.iou": torch.from_numpy(iou), f"{name}.logits": torch.from_numpy(logits)}
    return found


FRAMES = 30
CLIP_PROMPTS: dict[int, dict[str, Any]] = {
    1: {"points": [[30, 40]], "labels": [1]},
    2: {"box": [98, 48, 122, 72]},
}
"""On the first of the frames of ``tests.video.parity.moving_scene``, in pixels."""


def of_clip(spec: ModelSpec, clip: str) -> dict[str, Tensor]:
    """Logits of two objects on every frame, both sides in float64 and with memories kept so.

    In float32 the last bit decides which way a memory is rounded to bfloat16.
    """
    from tests.video.parity import components_without_cuda, memories_kept_in, positions_in_double

    model: Any = official_edgetam(spec, video=True)
    fill(model)
    model = in_double(model)
    with (
        components_without_cuda(),
        positions_in_double(),
        _turns_in_double(),
        memories_kept_in(torch.float64),
    ):
        tracks = []
        for prompt in CLIP_PROMPTS.values():  # one by one: its perceiver fails on two objects
            state = model.init_state(clip)
            model.add_new_points_or_box(state, 0, 1, **prompt)
            tracks.append(torch.stack([logits[0, 0] for _, _, logits in model.propagate_in_video(state)]))
    return {"logits": torch.stack(tracks, dim=1)}


def _turns_in_double() -> Any:
    """EdgeTAM's rotation of keys in float64: in every memory the last tokens are those with a place."""
    from sam2.modeling.sam import transformer

    def rotate(x: Tensor, freqs_cis: Tensor, repeat_freqs: int) -> Tensor:
        per_memory = x.unflatten(-2, (repeat_freqs, -1))
        rest, placed = per_memory.split([per_memory.shape[-2] - len(freqs_cis), len(freqs_cis)], dim=-2)
        pairs = torch.view_as_complex(placed.unflatten(-1, (-1, 2)).contiguous())
        turned = torch.view_as_real(pairs * freqs_cis.to(torch.complex128)).flatten(-2)
        return torch.cat([rest, turned], dim=-2).flatten(-3, -2)

    return mock.patch.object(transformer, "apply_rotary_enc_v2", rotate)


def main(out: str, size: str, what: str, clip: str = "") -> None:
    install_torchvision()
    with torch.no_grad():
        found = of_photo(SPECS[size]) if what == "photo" else of_clip(SPECS[size], clip)
    save_file({name: value.contiguous() for name, value in found.items()}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
