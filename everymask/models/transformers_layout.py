"""SAM and SAM 2 in the layout of Hugging Face's ``transformers``: the same weights under other names.

Read from files of ``SamModel``, ``Sam2Model`` (photos only) and ``Sam2VideoModel``; written by
:func:`to_transformers` for ``load_state_dict``. One table a family, used in both directions: ``#`` stands
for a number, ``*`` for the rest of a key. A key that no line fits is called the same on both sides.
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


def in_transformers_layout(state: Mapping[str, Tensor]) -> bool:
    """Whether weights have the names that ``transformers`` gives them."""
    return any(key.startswith("vision_encoder.") for key in state)


def from_transformers(state: Mapping[str, Tensor]) -> State:
    """The weights under official names; a key that is none of transformers' stays as it is.

    >>> list(from_transformers({"vision_encoder.layers.3.layer_norm1.weight": torch.ones(1)}))
    ['image_encoder.blocks.3.norm1.weight']
    """
    is_sam2 = any(key.startswith("vision_encoder.backbone.") for key in state)
    rules = _compiled(is_sam2, 1)
    renamed = {
        # Versions differ in what they call the last projection of an attention; ours is the official name.
        _renamed(key.replace(".o_proj.", ".out_proj."), rules): value
        for key, value in state.items()
        if key != _POSITIONS_AGAIN
    }
    if _POSITIONS not in state and _POSITIONS_AGAIN in state:  # safetensors keep a shared tensor once
        renamed[_renamed(_POSITIONS, rules)] = state[_POSITIONS_AGAIN]
    points = renamed.pop(_renamed(_POINTS, rules), None)
    if points is not None:
        prompts = "sam_prompt_encoder" if is_sam2 else "prompt_encoder"
        renamed |= {f"{prompts}.point_embeddings.{n}.weight": row[None] for n, row in enumerate(points)}
    return renamed


def to_transformers_names(state: Mapping[str, Tensor]) -> State:
    """The inverse of :func:`from_transformers`: official names to those of ``transformers``."""
    is_sam2 = any(key.startswith("sam_mask_decoder.") for key in state)
    rules = _compiled(is_sam2, 0)
    renamed = {_renamed(key, rules): value for key, value in state.items()}
    renamed[_POSITIONS_AGAIN] = renamed[_POSITIONS]
    if is_sam2:
        each = re.compile(r"prompt_encoder\.point_embed\.\d+\.weight")
        rows = [renamed.pop(key) for key in sorted(filter(each.fullmatch, renamed))]
        renamed[_POINTS] = torch.cat(rows)
    return renamed


@cache
def _compiled(is_sam2: bool, source: int) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns of one column of the table with the templates of the other."""
    rules = []
    for line in _SAM2 if is_sam2 else _SAM:
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
