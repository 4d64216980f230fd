"""Every model of the family as a literal table; ``dataclasses.replace`` makes a variant.

>>> from dataclasses import replace
>>> small = replace(MODELS["sam2.1_hiera_tiny"], name="mine", image_size=512)
>>> small.embedding_hw
(32, 32)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from everymask.nn.choice import StabilityFallback
from everymask.nn.encoders.convnet import ConvSpec
from everymask.nn.encoders.efficientnet_lite import LiteSpec
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.plain_vit import PlainViTSpec
from everymask.nn.encoders.repvit import RepViTSpec
from everymask.nn.encoders.tiny_vit import TinyViTSpec
from everymask.nn.encoders.vit import ViTSpec
from everymask.nn.mask_decoder import DecoderSpec
from everymask.nn.memory.perceiver import PerceiverSpec
from everymask.nn.memory.pooling import Pooling

TrunkSpec = ViTSpec | TinyViTSpec | HieraSpec | RepViTSpec | PlainViTSpec | ConvSpec
STRIDE = 16  # model pixels per cell of the image embedding, in every family


@dataclass(frozen=True)
class MemorySpec:
    """The video part of a SAM 2 model; the defaults are SAM 2.1's."""

    dim: int = 64  # channels of a memory, and of a piece of an object pointer
    frames: int = 7  # memories looked at: the prompted frames' and the last six
    pointers: int = 16  # object pointers looked at
    layers: int = 4
    heads: int = 1
    mlp_dim: int = 2048
    mask_scale: float = 20.0  # mask probabilities enter memory as p * scale + bias
    mask_bias: float = -10.0
    perceiver: PerceiverSpec | None = None  # EdgeTAM: a memory is kept as its latents
    pooling: Pooling | None = None  # EfficientTAM _1 and _2: looked at in cells of 2 x 2
    # SAM 2.1 adds these; SAM 2.0, EdgeTAM and EfficientTAM checkpoints have none of their weights:
    pointer_times: bool = True  # pointers carry their (signed, projected) distance in time
    no_object_embedding: bool = True  # memories of frames without the object carry a mark


@dataclass(frozen=True)
class ModelSpec:
    """What tells one model from another."""

    name: str
    family: Literal["sam", "sam2"]
    trunk: TrunkSpec
    image_size: int = 1024
    embed_dim: int = 256
    mask_channels: int = 16  # inner width of the mask-prompt encoder
    decoder: DecoderSpec = field(default_factory=DecoderSpec)
    memory: MemorySpec | None = None  # None: photos only
    fallback: StabilityFallback | None = None
    """SAM 2 builders switch this on ("dynamic multimask"): an unstable single mask gives way."""
    generator: Mapping[str, Any] = field(default_factory=dict)
    """This model's own defaults of everything mode, where they differ from SAM's."""

    @property
    def embedding_hw(self) -> tuple[int, int]:
        """Height and width of the image embedding."""
        return self.image_size // STRIDE, self.image_size // STRIDE


def _sam(name: str, trunk: ViTSpec | TinyViTSpec) -> ModelSpec:
    return ModelSpec(name, "sam", trunk)


def _hq(name: str, trunk: ViTSpec | TinyViTSpec) -> ModelSpec:
    early_dim = trunk.embed_dim if isinstance(trunk, ViTSpec) else trunk.embed_dims[2]
    return ModelSpec(name, "sam", trunk, decoder=DecoderSpec(early_dim=early_dim))


_SAM2_DECODER = DecoderSpec(mlp_block=False, iou_sigmoid=True, high_res=True, object_score=True)


def _sam2(
    name: str,
    trunk: HieraSpec | RepViTSpec | PlainViTSpec,
    memory: MemorySpec,
    decoder: DecoderSpec = _SAM2_DECODER,
    image_size: int = 1024,
) -> ModelSpec:
    return ModelSpec(
        name,
        "sam2",
        trunk,
        image_size=image_size,
        decoder=decoder,
        memory=memory,
        fallback=StabilityFallback(offset=0.05, threshold=0.98),
        generator={"pred_iou_thresh": 0.8},
    )


# The published position tables are 64 tokens wide; models of other picture sizes stretch them.
_VIT_B = ViTSpec(embed_dim=768, depth=12, num_heads=12, global_blocks=(2, 5, 8, 11), grid=64)
_VIT_L = ViTSpec(embed_dim=1024, depth=24, num_heads=16, global_blocks=(5, 11, 17, 23), grid=64)
_VIT_H = ViTSpec(embed_dim=1280, depth=32, num_heads=16, global_blocks=(7, 15, 23, 31), grid=64)

_HIERA_T = HieraSpec(96, 1, (1, 2, 7, 2), (5, 7, 9), (7, 7))
_HIERA_S = HieraSpec(96, 1, (1, 2, 11, 2), (7, 10, 13), (7, 7))
_HIERA_B = HieraSpec(112, 2, (2, 3, 16, 3), (12, 16, 20), (14, 14))
_HIERA_L = HieraSpec(144, 2, (2, 6, 36, 4), (23, 33, 43), (7, 7), window_sizes=(8, 4, 16, 8))

_SAM21 = MemorySpec()
_SAM20 = replace(_SAM21, pointer_times=False, no_object_embedding=False)
_EDGETAM = replace(_SAM20, layers=2, perceiver=PerceiverSpec())

_PLAIN_DECODER = replace(_SAM2_DECODER, high_res=False)  # its trunk has no finer maps


def _efficient(name: str, pooling: Pooling | None = None, image_size: int = 1024) -> ModelSpec:
    trunk = PlainViTSpec(384, 6) if name.startswith("efficienttam_s") else PlainViTSpec(192, 3)
    return _sam2(name, trunk, replace(_SAM20, pooling=pooling), _PLAIN_DECODER, image_size)


_NANO = ModelSpec(
    "nano",
    "sam2",
    ConvSpec(pretrained=LiteSpec()),
    image_size=448,
    embed_dim=128,
    decoder=replace(_SAM2_DECODER, heads=4, mlp_dim=512, iou_hidden_dim=128),
    memory=replace(_SAM21, dim=32, layers=2, mlp_dim=512),
    fallback=None,  # its logits are soft: hardly any mask counts as stable (docs/nano.md)
    # Chosen by tools/tune_everything.py: its estimates are modest and its logits soft (docs/nano.md).
    generator={
        "pred_iou_thresh": 0.26,
        "stability_score_thresh": 0.82,
        "stability_score_offset": 0.3,
        "box_nms_thresh": 0.4,
    },
)

FORMER_NANO = replace(_NANO, trunk=ConvSpec())
"""nano before it had a pretrained network beside its trunk: weights tuned from it are still recognised."""

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _NANO,
        _sam("sam_vit_b", _VIT_B),
        _sam("sam_vit_l", _VIT_L),
        _sam("sam_vit_h", _VIT_H),
        _sam("mobile_sam", TinyViTSpec()),
        _sam2("sam2_hiera_tiny", _HIERA_T, _SAM20),
        _sam2("sam2_hiera_small", _HIERA_S, _SAM20),
        _sam2("sam2_hiera_base_plus", _HIERA_B, _SAM20),
        _sam2("sam2_hiera_large", _HIERA_L, _SAM20),
        _sam2("sam2.1_hiera_tiny", _HIERA_T, _SAM21),
        _sam2("sam2.1_hiera_small", _HIERA_S, _SAM21),
        _sam2("sam2.1_hiera_base_plus", _HIERA_B, _SAM21),
        _sam2("sam2.1_hiera_large", _HIERA_L, _SAM21),
        _sam2("edgetam", RepViTSpec(), _EDGETAM),
        _efficient("efficienttam_s"),
        _efficient("efficienttam_s_1", "weighted"),
        _efficient("efficienttam_s_2", "shifted"),
        _efficient("efficienttam_s_512x512", image_size=512),
        _efficient("efficienttam_ti"),
        _efficient("efficienttam_ti_1", "weighted"),
        _efficient("efficienttam_ti_2", "shifted"),
        _efficient("efficienttam_ti_512x512", image_size=512),
        _hq("sam_hq_vit_b", _VIT_B),
        _hq("sam_hq_vit_l", _VIT_L),
        _hq("sam_hq_vit_h", _VIT_H),
        _hq("sam_hq_vit_tiny", TinyViTSpec()),
        _sam2("sam2.1_hq_hiera_large", _HIERA_L, _SAM21, replace(_SAM2_DECODER, hq_token=True)),
    )
}
