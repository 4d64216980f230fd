"""``sam2.modeling.sam2_base``: :class:`SAM2Base` with what official code asks of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from everymask.compat.parts import CalledOfficially, PromptEncoder, Sam2MaskDecoder
from everymask.models.sam2 import ImageEncoder as OurImageEncoder
from everymask.models.sam2 import Sam2
from everymask.models.specs import ModelSpec
from everymask.nn.position import sine_map
from everymask.nn.records import ImageFeatures
from everymask.nn.touched import untouched


class ImageEncoder(OurImageEncoder):
    """Trunk and neck, called as the official class of this name."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.scalp = self.neck.scalp
        self.dim = spec.embed_dim

    def forward(self, sample: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """Images [B, 3, S, S] -> ``backbone_fpn``, maps at strides 4, 8 and 16, finest first;
        ``vision_pos_enc``, their position codes; ``vision_features``, the coarsest map."""
        levels = OurImageEncoder.forward(self, sample)
        positions = [
            sine_map((level.shape[-2], level.shape[-1]), self.dim).to(level).expand(len(level), -1, -1, -1)
            for level in levels
        ]
        return {"vision_features": levels[-1], "vision_pos_enc": positions, "backbone_fpn": levels}


class SAM2Base(CalledOfficially, Sam2):
    """Our SAM 2; its image encoder, prompt encoder and mask decoder take the official calls as well."""

    num_feature_levels = 3
    use_high_res_features_in_sam = True
    directly_add_no_mem_embed = True

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.image_encoder = ImageEncoder(spec)
        self.sam_prompt_encoder = PromptEncoder.of(spec)
        self.sam_mask_decoder = Sam2MaskDecoder(spec)

    @property
    def image_size(self) -> int:
        """The side of the square that images are squeezed into."""
        return self.spec.image_size

    @property
    def hidden_dim(self) -> int:
        """Channels of the image embedding."""
        return self.spec.embed_dim

    def forward_image(self, img_batch: Tensor) -> dict[str, Any]:
        """The image encoder's answer, the two finest maps narrowed as the mask decoder takes them."""
        found = self.image_encoder(img_batch)
        levels = found["backbone_fpn"]
        levels[0] = self.sam_mask_decoder.conv_s0(levels[0])
        levels[1] = self.sam_mask_decoder.conv_s1(levels[1])
        return found

    def _prepare_backbone_features(
        self, backbone_out: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Tensor], list[Tensor], list[tuple[int, int]]]:
        """The maps and their position codes as [h * w, B, C], and the maps' sizes."""
        maps, positions = (
            backbone_out[name][-self.num_feature_levels :] for name in ("backbone_fpn", "vision_pos_enc")
        )
        sizes = [(level.shape[-2], level.shape[-1]) for level in positions]
        flat_maps, flat_positions = (
            [level.flatten(2).permute(2, 0, 1) for level in levels] for levels in (maps, positions)
        )
        return dict(backbone_out), flat_maps, flat_positions, sizes

    def encode_frame(self, pixels: Tensor) -> ImageFeatures:
        pixels, heads = pixels.to(self.dtype), (self.sam_mask_decoder.conv_s0, self.sam_mask_decoder.conv_s1)
        encoder = self.image_encoder
        if isinstance(encoder, ImageEncoder) and all(untouched(part, pixels) for part in (encoder, *heads)):
            fine, middle, coarse = OurImageEncoder.forward(encoder, pixels, heads)
        else:
            fine, middle, coarse = self.forward_image(pixels)["backbone_fpn"]
        return ImageFeatures(coarse, (fine, middle))
