"""The official models, built from our specs without Hydra: any size, tiny variants included.

Needs ``segment_anything`` and ``sam2`` (``tests/parity/requirements.txt``); where they are missing,
tests that ask for a model are skipped.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest
from torch import Tensor, nn

from everymask.models.base import PromptableModel
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS, ModelSpec
from everymask.models.weights import fill_weights
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.parity import torchvision_standin
from tests.parity.seeded import fill

_RELATIVES = ("mobile_sam", "edgetam", "efficienttam", "sam_hq", "sam2.1_hq")
WITH_OFFICIAL_CODE = [name for name in MODELS if not name.startswith(_RELATIVES)]
"""Models of these two packages; the others are tested against their own: ``tests/golden``,
``tests/parity/test_edgetam.py``, ``test_efficienttam.py``, ``test_hq_sam.py``, ``test_hq_sam2.py``."""


def official_model(spec: ModelSpec, *, video: bool = False) -> nn.Module:
    """The official code's model of this spec, in eval mode; ``video`` gives a ``SAM2VideoPredictor``."""
    torchvision_standin.install()
    model = official_sam(spec) if spec.family == "sam" else official_sam2(spec, video=video)
    return model.eval().requires_grad_(False)


def seeded_pair(spec: ModelSpec, seed: int = 0, *, video: bool = False) -> tuple[PromptableModel, Any]:
    """Our model and the official one with the same seeded weights."""
    official = official_model(spec, video=video)
    return ours_with(spec, fill(official, seed)), official


def ours_with(spec: ModelSpec, state: dict[str, Tensor]) -> PromptableModel:
    """Our model with weights under official key names."""
    model = Sam(spec) if spec.family == "sam" else Sam2(spec)
    fill_weights(model, {key: value.clone() for key, value in state.items()})
    return model.eval().requires_grad_(False)


def official_sam(spec: ModelSpec) -> nn.Module:
    pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    trunk, decoder = spec.trunk, spec.decoder
    assert isinstance(trunk, ViTSpec), "the official package has no other trunk"
    return Sam(
        ImageEncoderViT(
            img_size=spec.image_size,
            patch_size=trunk.patch_size,
            embed_dim=trunk.embed_dim,
            depth=trunk.depth,
            num_heads=trunk.num_heads,
            mlp_ratio=trunk.mlp_ratio,
            out_chans=spec.embed_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=trunk.window_size,
            global_attn_indexes=trunk.global_blocks,
        ),
        PromptEncoder(
            spec.embed_dim, spec.embedding_hw, (spec.image_size, spec.image_size), spec.mask_channels
        ),
        MaskDecoder(
            transformer_dim=spec.embed_dim,
            transformer=TwoWayTransformer(decoder.depth, spec.embed_dim, decoder.heads, decoder.mlp_dim),
            iou_head_depth=decoder.iou_depth,
            iou_head_hidden_dim=decoder.iou_hidden_dim,
        ),
    )


def official_sam2(
    spec: ModelSpec,
    *,
    video: bool,
    image_encoder: nn.Module | None = None,
    cross_attention: nn.Module | None = None,
    **others: Any,
) -> nn.Module:
    """As the yaml files of the package have it, with ``apply_postprocessing`` (the builders' default).

    A relative, whose package is called ``sam2`` as well, gives its own parts; what 2.1 added and the spec
    has not, an older package need not know.
    """
    pytest.importorskip("sam2", reason="sam2 is not installed")
    from sam2.modeling.sam2_base import SAM2Base
    from sam2.sam2_video_predictor import SAM2VideoPredictor

    memory = spec.memory
    assert memory is not None
    options: dict[str, Any] = {
        "image_encoder": image_encoder or with_neck(spec, _official_trunk(spec)),
        "memory_attention": _memory_attention(spec, cross_attention),
        "memory_encoder": _memory_encoder(spec),
        "num_maskmem": memory.frames,
        "image_size": spec.image_size,
        "sigmoid_scale_for_mem_enc": memory.mask_scale,
        "sigmoid_bias_for_mem_enc": memory.mask_bias,
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "no_obj_embed_spatial": memory.no_object_embedding,
        "use_high_res_features_in_sam": spec.decoder.high_res,
        "multimask_output_in_sam": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "max_obj_ptrs_in_encoder": memory.pointers,
        "add_tpos_enc_to_obj_ptrs": memory.pointer_times,
        "proj_tpos_enc_in_obj_ptrs": memory.pointer_times,
        "use_signed_tpos_enc_to_obj_ptrs": memory.pointer_times,
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
            "dynamic_multimask_via_stability": spec.fallback is not None,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
        **others,
    }
    known = inspect.signature(SAM2Base).parameters
    hands_on = any(each.kind is each.VAR_KEYWORD for each in known.values())  # a class of SAM2Base's kind
    options = {name: value for name, value in options.items() if hands_on or name in known or value}
    with _decoder_sizes(spec):
        if video:
            return SAM2VideoPredictor(fill_hole_area=8, binarize_mask_from_pts_for_mem_enc=True, **options)
        return SAM2Base(**options)


def with_neck(spec: ModelSpec, trunk: nn.Module) -> nn.Module:
    """The encoder of a trunk of four maps."""
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder

    neck = FpnNeck(
        sine(spec.embed_dim),
        spec.embed_dim,
        list(reversed(trunk_channels(spec))),
        fpn_interp_model="nearest",
        fpn_top_down_levels=[2, 3],
    )
    return ImageEncoder(trunk, neck, scalp=1)


def trunk_channels(spec: ModelSpec) -> tuple[int, ...]:
    """Of the trunk's maps, finest first."""
    return spec.trunk.channels if isinstance(spec.trunk, HieraSpec) else spec.trunk.dims  # type: ignore[union-attr]


def _official_trunk(spec: ModelSpec) -> nn.Module:
    from sam2.modeling.backbones.hieradet import Hiera

    trunk = spec.trunk
    if not isinstance(trunk, HieraSpec):
        return _OwnTrunk(spec)
    return Hiera(
        embed_dim=trunk.embed_dim,
        num_heads=trunk.num_heads,
        stages=trunk.stages,
        global_att_blocks=trunk.global_blocks,
        window_pos_embed_bkg_spatial_size=trunk.background_size,
        window_spec=trunk.window_sizes,
    )


def _OwnTrunk(spec: ModelSpec) -> nn.Module:
    """nano's trunk is ours; everything around it is official."""
    trunk = Sam2(spec).image_encoder.trunk
    trunk.channel_list = list(reversed(trunk_channels(spec)))
    return trunk


def sine(dim: int) -> nn.Module:
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    return PositionEmbeddingSine(dim, normalize=True, scale=None, temperature=10000)


def attention_options(spec: ModelSpec) -> dict[str, Any]:
    """What every attention over memories is made with, its grid left out."""
    assert spec.memory is not None
    return {
        "rope_theta": 10000.0,
        "embedding_dim": spec.embed_dim,
        "num_heads": spec.memory.heads,
        "downsample_rate": 1,
        "dropout": 0.1,
    }


def _memory_attention(spec: ModelSpec, cross_attention: nn.Module | None) -> nn.Module:
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.sam.transformer import RoPEAttention

    memory = spec.memory
    assert memory is not None
    common = {"feat_sizes": spec.embedding_hw, **attention_options(spec)}
    layer = MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=memory.mlp_dim,
        dropout=0.1,
        pos_enc_at_attn=False,
        self_attention=RoPEAttention(**common),
        d_model=spec.embed_dim,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=cross_attention or RoPEAttention(rope_k_repeat=True, kv_in_dim=memory.dim, **common),
    )
    return MemoryAttention(spec.embed_dim, pos_enc_at_input=True, layer=layer, num_layers=memory.layers)


def _memory_encoder(spec: ModelSpec) -> nn.Module:
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder

    memory = spec.memory
    assert memory is not None
    return MemoryEncoder(
        out_dim=memory.dim,
        mask_downsampler=MaskDownSampler(embed_dim=spec.embed_dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(spec.embed_dim, kernel_size=7, padding=3), num_layers=2),
        position_encoding=sine(memory.dim),
        in_dim=spec.embed_dim,
    )


class _decoder_sizes:
    """While it is entered, ``SAM2Base`` builds a decoder of the spec's sizes: it has SAM's written in."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def __enter__(self) -> None:
        from sam2.modeling import sam2_base

        spec, self.module = self.spec, sam2_base
        self.kept = sam2_base.TwoWayTransformer, sam2_base.MaskDecoder, sam2_base.PromptEncoder
        transformer, decoder, prompts = self.kept

        def sized_transformer(**given: Any) -> nn.Module:
            sizes = {
                "depth": spec.decoder.depth,
                "mlp_dim": spec.decoder.mlp_dim,
                "num_heads": spec.decoder.heads,
            }
            return transformer(**{**given, **sizes})

        def sized_decoder(**given: Any) -> nn.Module:
            sizes = {
                "iou_head_depth": spec.decoder.iou_depth,
                "iou_head_hidden_dim": spec.decoder.iou_hidden_dim,
            }
            return decoder(**{**given, **sizes})

        def sized_prompts(**given: Any) -> nn.Module:
            return prompts(**{**given, "mask_in_chans": spec.mask_channels})

        sam2_base.TwoWayTransformer = sized_transformer
        sam2_base.MaskDecoder = sized_decoder
        sam2_base.PromptEncoder = sized_prompts

    def __exit__(self, *_: object) -> None:
        names = ("TwoWayTransformer", "MaskDecoder", "PromptEncoder")
        for name, value in zip(names, self.kept, strict=True):
            setattr(self.module, name, value)
