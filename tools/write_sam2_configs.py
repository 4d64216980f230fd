"""Writes ``everymask/compat/sam2/configs``: what Hydra instantiates SAM 2 and 2.1 from, out of our specs.

python tools/write_sam2_configs.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from everymask.compat.sam2.config_files import CONFIG_MODULE, HF_MODEL_ID_TO_FILENAMES
from everymask.compat.sam2.modeling.from_spec import options
from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.hiera import HieraSpec

FOLDER = Path(__file__).parents[1] / "everymask" / "compat" / "sam2"
HEADER = "# @package _global_\n# Written by tools/write_sam2_configs.py from everymask/models/specs.py.\n"


def config(spec: ModelSpec) -> dict[str, Any]:
    """The arguments of ``SAM2Base`` as Hydra instantiates them."""
    trunk, memory, dim = spec.trunk, spec.memory, spec.embed_dim
    assert isinstance(trunk, HieraSpec)
    assert memory is not None
    rotary = {
        "rope_theta": 10000.0,
        "feat_sizes": list(spec.embedding_hw),
        "embedding_dim": dim,
        "num_heads": memory.heads,
        "downsample_rate": 1,
        "dropout": 0.1,
    }
    encoder = _of(
        "backbones.image_encoder.ImageEncoder",
        scalp=1,
        trunk=_of(
            "backbones.hieradet.Hiera",
            embed_dim=trunk.embed_dim,
            num_heads=trunk.num_heads,
            stages=list(trunk.stages),
            global_att_blocks=list(trunk.global_blocks),
            window_pos_embed_bkg_spatial_size=list(trunk.background_size),
            window_spec=list(trunk.window_sizes),
        ),
        neck=_of(
            "backbones.image_encoder.FpnNeck",
            position_encoding=_sine(dim),
            d_model=dim,
            backbone_channel_list=list(trunk.channels[::-1]),
            fpn_top_down_levels=[2, 3],
            fpn_interp_model="nearest",
        ),
    )
    attention = _of(
        "memory_attention.MemoryAttention",
        d_model=dim,
        pos_enc_at_input=True,
        layer=_of(
            "memory_attention.MemoryAttentionLayer",
            activation="relu",
            dim_feedforward=memory.mlp_dim,
            dropout=0.1,
            pos_enc_at_attn=False,
            self_attention=_of("sam.transformer.RoPEAttention", **rotary),
            d_model=dim,
            pos_enc_at_cross_attn_keys=True,
            pos_enc_at_cross_attn_queries=False,
            cross_attention=_of(
                "sam.transformer.RoPEAttention", **rotary, rope_k_repeat=True, kv_in_dim=memory.dim
            ),
        ),
        num_layers=memory.layers,
    )
    memory_encoder = _of(
        "memory_encoder.MemoryEncoder",
        out_dim=memory.dim,
        position_encoding=_sine(memory.dim),
        mask_downsampler=_of("memory_encoder.MaskDownSampler", kernel_size=3, stride=2, padding=1),
        fuser=_of(
            "memory_encoder.Fuser",
            layer=_of(
                "memory_encoder.CXBlock",
                dim=dim,
                kernel_size=7,
                padding=3,
                layer_scale_init_value=1e-6,
                use_dwconv=True,
            ),
            num_layers=2,
        ),
    )
    plain = {key: value for key, value in options(spec).items() if key != "sam_mask_decoder_extra_args"}
    parts = {"image_encoder": encoder, "memory_attention": attention, "memory_encoder": memory_encoder}
    return {"model": _of("sam2_base.SAM2Base", **parts, **plain, compile_image_encoder=False)}


def _of(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{CONFIG_MODULE}.modeling.{name}", **arguments}


def _sine(dim: int) -> dict[str, Any]:
    return _of(
        "position_encoding.PositionEmbeddingSine",
        num_pos_feats=dim,
        normalize=True,
        scale=None,
        temperature=10000,
    )


class _Plain(yaml.SafeDumper):
    """Every list in one line, and nothing said by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Plain.add_representer(
    list, lambda dumper, values: dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)
)


def texts() -> dict[str, str]:
    """The files by their path below ``everymask/compat/sam2``."""
    return {
        path: HEADER
        + yaml.dump(config(MODELS[checkpoint.removesuffix(".pt")]), Dumper=_Plain, sort_keys=False)
        for path, checkpoint in HF_MODEL_ID_TO_FILENAMES.values()
    }


if __name__ == "__main__":
    for path, text in texts().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)
