"""What the official EdgeTAM (PyPI ``edgetam-dimos``) makes of seeded weights: run by ``test_edgetam.py``.

python -m tests.parity.relatives.edgetam OUT.safetensors small photo|clip [CLIP]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.repvit import RepViTSpec
from everymask.nn.memory.perceiver import PerceiverSpec
from tests.parity import official
from tests.parity.relatives.asking import answer

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
CLIP_PROMPTS: dict[int, dict[str, Any]] = {
    1: {"points": [[30, 40]], "labels": [1]},
    2: {"box": [98, 48, 122, 72]},
}


def official_edgetam(spec: ModelSpec, *, video: bool) -> nn.Module:
    """The official model of the spec, made as its yaml file says."""
    memory, trunk = spec.memory, spec.trunk
    assert memory is not None
    assert memory.perceiver is not None
    assert isinstance(trunk, RepViTSpec)
    from sam2.modeling.backbones import timm
    from sam2.modeling.perceiver import PerceiverResampler
    from sam2.modeling.sam.transformer import RoPEAttentionv2
    from timm.models import create_model

    def made(name: str, **given: Any) -> nn.Module:  # the official one downloads ImageNet weights
        sizes = {"embed_dim": trunk.dims, "depth": trunk.depths}
        return create_model(name, **{**given, "pretrained": False, **sizes})

    with mock.patch.object(timm, "create_model", made):
        backbone = timm.TimmBackbone("repvit_m1", [f"layer{index}" for index in range(4)])
    model = official.official_sam2(
        spec,
        video=video,
        image_encoder=official.with_neck(spec, backbone),
        cross_attention=RoPEAttentionv2(
            q_sizes=spec.embedding_hw,
            k_sizes=memory.perceiver.grid_hw,
            kv_in_dim=memory.dim,
            **official.attention_options(spec),
        ),
        spatial_perceiver=PerceiverResampler(
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
            position_encoding=official.sine(memory.dim),
            use_self_attn=True,
        ),
    )
    return model.eval().requires_grad_(False)


@contextmanager
def turns_in_double() -> Iterator[None]:
    """EdgeTAM's rotation of keys in float64: in every memory the last tokens are those with a place."""
    from sam2.modeling.sam import transformer

    def rotate(x: Tensor, freqs_cis: Tensor, repeat_freqs: int) -> Tensor:
        per_memory = x.unflatten(-2, (repeat_freqs, -1))
        rest, placed = per_memory.split([per_memory.shape[-2] - len(freqs_cis), len(freqs_cis)], dim=-2)
        pairs = torch.view_as_complex(placed.unflatten(-1, (-1, 2)).contiguous())
        turned = torch.view_as_real(pairs * freqs_cis.to(torch.complex128)).flatten(-2)
        return torch.cat([rest, turned], dim=-2).flatten(-3, -2)

    with mock.patch.object(transformer, "apply_rotary_enc_v2", rotate):
        yield


if __name__ == "__main__":
    answer(official_edgetam, SPECS, CLIP_PROMPTS, while_tracking=turns_in_double)
