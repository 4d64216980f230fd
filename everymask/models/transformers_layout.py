"""SAM, HQ-SAM, SAM 2 and EdgeTAM in the layout of Hugging Face's ``transformers``: the same weights, other
names.

Read from files of ``SamModel``, ``SamHQModel``, ``Sam2Model``, ``EdgeTamModel`` (photos only),
``Sam2VideoModel`` and ``EdgeTamVideoModel``; written by :func:`to_transformers` for ``load_state_dict``. One
table a family, used in both directions: ``#`` stands for a number, ``*`` for the rest of a key. A key that no
line fits is called the same on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

State = dict[str, Tensor]
Lines = tuple[tuple[str, str], ...]  # (official, transformers)

_POSITIONS = "shared_image_embedding.positional_embedding"
_POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"
"""transformers has the matrix of the position code twice."""
_POINTS = "prompt_encoder.point_embed.weight"
"""SAM 2's four point embeddings as one matrix [4, C]."""
_TIMM, _BODY = "vision_encoder.backbone.timm_model.", "image_encoder.trunk.body."
"""EdgeTAM's trunk; the names within are timm's on both sides."""


def _head(ours: str, theirs: str) -> Lines:
    """An MLP of three layers."""
    names = ("proj_in", "layers.0", "proj_out")
    return tuple((f"{ours}.layers.{n}.*", f"{theirs}.{name}.*") for n, name in enumerate(names))


def _both(prompts: str, decoder: str, out: str) -> Lines:
    """The lines that the two families share but for the names of their parts."""
    layer, theirs = f"{decoder}.transformer.layers.#", "mask_decoder.transformer.layers.#"
    attention = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    return (
        (f"{prompts}.pe_layer.positional_encoding_gaussian_matrix", _POSITIONS),
        *(
            (f"{prompts}.mask_downscaling.{n}.*", f"prompt_encoder.mask_embed.{name}.*")
            for n, name in ((0, "conv1"), (1, "layer_norm1"), (3, "conv2"), (4, "layer_norm2"), (6, "conv3"))
        ),
        *((f"{layer}.{name}.out_proj.*", f"{theirs}.{name}.{out}.*") for name in attention),
        (f"{layer}.norm#.*", f"{theirs}.layer_norm#.*"),
        (
            f"{decoder}.transformer.final_attn_token_to_image.out_proj.*",
            f"mask_decoder.transformer.final_attn_token_to_image.{out}.*",
        ),
        (
            f"{decoder}.transformer.norm_final_attn.*",
            "mask_decoder.transformer.layer_norm_final_attn.*",
        ),
        *(
            (f"{decoder}.output_upscaling.{n}.*", f"mask_decoder.{name}.*")
            for n, name in ((0, "upscale_conv1"), (1, "upscale_layer_norm"), (3, "upscale_conv2"))
        ),
        *_head(f"{decoder}.output_hypernetworks_mlps.#", "mask_decoder.output_hypernetworks_mlps.#"),
        *_head(f"{decoder}.iou_prediction_head", "mask_decoder.iou_prediction_head"),
        (f"{prompts}.point_embeddings.#.weight", "prompt_encoder.point_embed.#.weight"),
    )


_SAM: Lines = (
    *_both("prompt_encoder", "mask_decoder", "out_proj"),
    ("image_encoder.patch_embed.proj.*", "vision_encoder.patch_embed.projection.*"),
    ("image_encoder.blocks.#.norm#.*", "vision_encoder.layers.#.layer_norm#.*"),
    ("image_encoder.blocks.*", "vision_encoder.layers.*"),
    *(
        (f"image_encoder.neck.{n}.*", f"vision_encoder.neck.{name}.*")
        for n, name in enumerate(("conv1", "layer_norm1", "conv2", "layer_norm2"))
    ),
    ("image_encoder.*", "vision_encoder.*"),
    # HQ-SAM's
    ("mask_decoder.hf_token.*", "mask_decoder.hq_token.*"),
    *_head("mask_decoder.hf_mlp", "mask_decoder.hq_mask_mlp"),
    *(
        (f"mask_decoder.{ours}.{n}.*", f"mask_decoder.{theirs}_{name}.*")
        for ours, theirs in (
            ("compress_vit_feat", "compress_vit"),
            ("embedding_encoder", "encoder"),
            ("embedding_maskfeature", "mask"),
        )
        for n, name in ((0, "conv1"), (1, "norm"), (3, "conv2"))
    ),
)

_SAM2: Lines = (
    *_both("sam_prompt_encoder", "sam_mask_decoder", "o_proj"),
    *(
        (f"{ours}.mlp.layers.{n}.*", f"{theirs}.mlp.{name}.*")
        for ours, theirs in (
            ("sam_mask_decoder.transformer.layers.#", "mask_decoder.transformer.layers.#"),
            ("image_encoder.trunk.blocks.#", "vision_encoder.backbone.blocks.#"),
        )
        for n, name in enumerate(("proj_in", "proj_out"))
    ),
    *_head("sam_mask_decoder.pred_obj_score_head", "mask_decoder.pred_obj_score_head"),
    ("image_encoder.trunk.patch_embed.proj.*", "vision_encoder.backbone.patch_embed.projection.*"),
    ("image_encoder.trunk.blocks.#.norm#.*", "vision_encoder.backbone.blocks.#.layer_norm#.*"),
    ("image_encoder.trunk.*", "vision_encoder.backbone.*"),
    ("image_encoder.neck.convs.#.conv.*", "vision_encoder.neck.convs.#.*"),
    ("no_mem_embed", "no_memory_embedding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    *_head("obj_ptr_proj", "object_pointer_proj"),
    ("obj_ptr_tpos_proj.*", "temporal_positional_encoding_projection_layer.*"),
    *(
        (f"memory_attention.layers.#.{name}.out_proj.*", f"memory_attention.layers.#.{name}.o_proj.*")
        for name in ("self_attn", "cross_attn_image")
    ),
    ("memory_attention.layers.#.norm#.*", "memory_attention.layers.#.layer_norm#.*"),
    ("memory_attention.norm.*", "memory_attention.layer_norm.*"),
    *(
        (f"memory_encoder.mask_downsampler.encoder.{3 * n + k}.*", f"{theirs}.{n}.{name}.*")
        for theirs in ("memory_encoder.mask_downsampler.layers",)
        for n in range(4)
        for k, name in enumerate(("conv", "layer_norm"))
    ),
    ("memory_encoder.mask_downsampler.encoder.12.*", "memory_encoder.mask_downsampler.final_conv.*"),
    ("memory_encoder.pix_feat_proj.*", "memory_encoder.feature_projection.*"),
    ("memory_encoder.out_proj.*", "memory_encoder.projection.*"),
    *(
        (f"memory_encoder.fuser.layers.#.{ours}", f"memory_encoder.memory_fuser.layers.#.{theirs}")
        for ours, theirs in (
            ("gamma", "scale"),
            ("dwconv.*", "depthwise_conv.*"),
            ("norm.*", "layer_norm.*"),
            ("pwconv#.*", "pointwise_conv#.*"),
        )
    ),
    ("sam_mask_decoder.*", "mask_decoder.*"),
    ("sam_prompt_encoder.*", "prompt_encoder.*"),
)

_LATENTS = "spatial_perceiver.layers.#"
_EDGETAM: Lines = (
    (f"{_BODY}*", f"{_TIMM}*"),
    ("spatial_perceiver.latents", "spatial_perceiver.latents_1d"),
    ("spatial_perceiver.norm.*", "spatial_perceiver.layer_norm.*"),
    (f"{_LATENTS}.attn.norm_x.*", f"{_LATENTS}.layer_norm_input.*"),
    (f"{_LATENTS}.attn.norm_latents.*", f"{_LATENTS}.layer_norm_latents.*"),
    (f"{_LATENTS}.self_attn.norm.*", f"{_LATENTS}.layer_norm_self.*"),
    *(
        (f"{_LATENTS}.{ours}.to_{name}.weight", f"{_LATENTS}.{theirs}.{their_name}_proj.weight")
        for ours, theirs in (("attn", "cross_attention"), ("self_attn", "self_attention"))
        for name, their_name in (("q", "q"), ("k", "k"), ("v", "v"), ("out", "o"))
    ),
    *(
        (f"{_LATENTS}.{ours}.{n}.*", f"{_LATENTS}.{theirs}.{name}.*")
        for ours, theirs in (("ff", "mlp"), ("self_ff", "self_mlp"))
        for n, name in ((0, "layer_norm"), (1, "up_proj"), (3, "down_proj"))
    ),
    ("memory_attention.layers.#.linear1.*", "memory_attention.layers.#.mlp.up_proj.*"),
    ("memory_attention.layers.#.linear2.*", "memory_attention.layers.#.mlp.down_proj.*"),
    *_SAM2,
)
_KEYS_AND_VALUES = re.compile(r"(spatial_perceiver\..+\.to_)kv\.weight")
"""EdgeTAM's keys and values come from one matrix [2 D, D]; in transformers from one each."""


def in_transformers_layout(state: Mapping[str, Tensor]) -> bool:
    """Whether weights have the names that ``transformers`` gives them."""
    return any(key.startswith("vision_encoder.") for key in state)


def from_transformers(state: Mapping[str, Tensor]) -> State:
    """The weights under official names; a key that is none of transformers' stays as it is.

    >>> list(from_transformers({"vision_encoder.layers.3.layer_norm1.weight": torch.ones(1)}))
    ['image_encoder.blocks.3.norm1.weight']
    """
    is_sam2 = any(key.startswith("vision_encoder.backbone.") for key in state)
    rules = _compiled(_family(is_sam2, any(key.startswith(_TIMM) for key in state)), 1)
    renamed = {
        # Versions differ in what they call the last projection of an attention; ours is the official name.
        _renamed(_plain(key), rules): value
        for key, value in state.items()
        if key != _POSITIONS_AGAIN
    }
    if _POSITIONS not in state and _POSITIONS_AGAIN in state:  # safetensors keep a shared tensor once
        renamed[_renamed(_POSITIONS, rules)] = state[_POSITIONS_AGAIN]
    points = renamed.pop(_renamed(_POINTS, rules), None)
    if points is not None:
        prompts = "sam_prompt_encoder" if is_sam2 else "prompt_encoder"
        renamed |= {f"{prompts}.point_embeddings.{n}.weight": row[None] for n, row in enumerate(points)}
    for key in [key for key in renamed if key.startswith("spatial_perceiver.") and ".to_k." in key]:
        values = renamed.pop(key.replace(".to_k.", ".to_v."), None)
        if values is not None:
            renamed[key.replace(".to_k.", ".to_kv.")] = torch.cat([renamed.pop(key), values])
    return renamed


def to_transformers_names(state: Mapping[str, Tensor]) -> State:
    """The inverse of :func:`from_transformers`: official names to those of ``transformers``."""
    is_sam2 = any(key.startswith("sam_mask_decoder.") for key in state)
    rules = _compiled(_family(is_sam2, any(key.startswith(_BODY) for key in state)), 0)
    split: State = {}
    for key, value in state.items():
        if found := _KEYS_AND_VALUES.fullmatch(key):
            keys, values = value.chunk(2)
            split |= {f"{found[1]}k.weight": keys, f"{found[1]}v.weight": values}
        else:
            split[key] = value
    renamed = {_renamed(key, rules): value for key, value in split.items()}
    renamed[_POSITIONS_AGAIN] = renamed[_POSITIONS]
    if is_sam2:
        each = re.compile(r"prompt_encoder\.point_embed\.\d+\.weight")
        rows = [renamed.pop(key) for key in sorted(filter(each.fullmatch, renamed))]
        renamed[_POINTS] = torch.cat(rows)
    return renamed


def _family(is_sam2: bool, is_edgetam: bool) -> Lines:
    return _EDGETAM if is_edgetam else _SAM2 if is_sam2 else _SAM


def _plain(key: str) -> str:
    return key if key.startswith("spatial_perceiver.") else key.replace(".o_proj.", ".out_proj.")


@cache
def _compiled(lines: Lines, source: int) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns of one column of the table with the templates of the other."""
    rules = []
    for line in lines:
        pattern = re.escape(line[source]).replace(r"\#", r"(\d+)").replace(r"\*", "(.+)")
        parts = re.split(r"[#*]", line[1 - source])
        template = parts[0] + "".join(f"\\{n}{part}" for n, part in enumerate(parts[1:], 1))
        rules.append((re.compile(pattern), template))
    return tuple(rules)


def _renamed(key: str, rules: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, template in rules:
        if found := pattern.fullmatch(key):
            return found.expand(template)
    return key
