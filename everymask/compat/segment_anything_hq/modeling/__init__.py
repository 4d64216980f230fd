"""``segment_anything_hq.modeling``: the official classes by their official constructors."""

from everymask.compat.segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from .image_encoder import ImageEncoderViT
from .mask_decoder_hq import MaskDecoderHQ
from .sam import Sam
from .tiny_vit_sam import TinyViT

__all__ = [
    "ImageEncoderViT",
    "MaskDecoder",
    "MaskDecoderHQ",
    "PromptEncoder",
    "Sam",
    "TinyViT",
    "TwoWayTransformer",
]
