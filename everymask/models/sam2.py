"""SAM 2 and SAM 2.1 (Ravi et al. 2024), EdgeTAM, EfficientTAM, HQ-SAM 2 and nano: a trunk with a neck, the
prompt encoder, the mask decoder, and the parts that remember objects from frame to frame.

How those parts are used through a video is the business of the room ``video``. EdgeTAM is a SAM 2 with
another trunk and a perceiver behind the memory encoder; EfficientTAM one whose trunk gives a single map;
HQ-SAM 2 one whose decoder has HQ-SAM's token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from everymask.geometry import Squash
from everymask.models.base import (
    PromptableModel,
    corner_points,
    mask_decoder,
    prompt_encoder,
    standardised,
    with_padding,
)
from everymask.models.specs import MemorySpec, ModelSpec
from everymask.nn.encoders.convnet import PIXEL_MEAN, PIXEL_STD, ConvNet, ConvSpec
from everymask.nn.encoders.fpn import FpnNeck
from everymask.nn.encoders.hiera import Hiera, HieraSpec
from everymask.nn.encoders.plain_vit import PlainViT, PlainViTSpec, ViTDetNeck
from everymask.nn.encoders.repvit import RepViT, RepViTSpec
from everymask.nn.layers import MLP
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.memory.attention import MemoryAttention
from everymask.nn.memory.encoder import MemoryEncoder
from everymask.nn.memory.perceiver import Perceiver
from everymask.nn.position import sine_map
from everymask.nn.prompt_encoder import PromptEncoder
from everymask.nn.records import ImageFeatures
from everymask.nn.touched import untouched


class ImageEncoder(nn.Module):
    """Trunk and neck, under the names of the checkpoints."""

    PARTS: ClassVar = {"neck": FpnNeck | ViTDetNeck}

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.trunk, channels = trunk_of(spec)
        self.neck: FpnNeck | ViTDetNeck = (
            FpnNeck(channels, spec.embed_dim) if len(channels) > 1 else ViTDetNeck(channels, spec.embed_dim)
        )

    def forward(self, pixels: Tensor, heads: tuple[nn.Conv2d, ...] = ()) -> list[Tensor]:
        """Maps at strides 4, 8 and 16, finest first, or that at 16 alone; ``heads`` narrow the finest."""
        return self.neck(self.trunk(pixels), heads)


class Sam2(PromptableModel):
    """SAM 2 or one of its relatives. Attribute names are those of the official checkpoints."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.image_encoder = ImageEncoder(spec)
        self.sam_prompt_encoder = prompt_encoder(spec)
        self.sam_mask_decoder = mask_decoder(spec)
        # Added to the features of a photo, or of a video's first frame, in place of memories.
        self.no_mem_embed = nn.Parameter(_small(1, 1, spec.embed_dim))
        if spec.memory is not None:
            self._add_memory(spec.embed_dim, spec.memory)

    def _add_memory(self, dim: int, memory: MemorySpec) -> None:
        self.memory_attention = MemoryAttention(
            dim,
            memory.dim,
            layers=memory.layers,
            hidden=memory.mlp_dim,
            heads=memory.heads,
            pooling=memory.pooling,
        )
        self.memory_encoder = MemoryEncoder(dim, memory.dim)
        if memory.perceiver is not None:
            self.spatial_perceiver = Perceiver(memory.dim, memory.perceiver)
        self.maskmem_tpos_enc = nn.Parameter(_small(memory.frames, 1, 1, memory.dim))
        self.no_mem_pos_enc = nn.Parameter(_small(1, 1, dim))  # in every checkpoint, used by no model
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.obj_ptr_proj = MLP(dim, dim, dim, 3)
        self.no_obj_ptr = nn.Parameter(_small(1, dim))
        if memory.no_object_embedding:
            self.no_obj_embed_spatial = nn.Parameter(_small(1, memory.dim))
        if memory.pointer_times:
            self.obj_ptr_tpos_proj = nn.Linear(dim, memory.dim)

    @property
    def prompts(self) -> PromptEncoder:
        return self.sam_prompt_encoder

    @property
    def decoder(self) -> MaskDecoder:
        return self.sam_mask_decoder

    def frame(self, photo_hw: tuple[int, int]) -> Squash:
        return Squash(photo_hw, self.spec.image_size)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Values 0 to 1 [..., 3, S, S] -> the values that the trunk takes."""
        return standardised(pixels, PIXEL_MEAN, PIXEL_STD)

    def encode_frame(self, pixels: Tensor) -> ImageFeatures:
        """[B, 3, S, S] -> the features that memory attention starts from: nothing of memory in them."""
        pixels = pixels.to(self.dtype)
        if not self.spec.decoder.high_res:
            return ImageFeatures(self.image_encoder(pixels)[-1])
        heads = (self.sam_mask_decoder.conv_s0, self.sam_mask_decoder.conv_s1)
        if all(
            untouched(part, pixels) for part in (self.image_encoder, *heads)
        ):  # heads merged into the neck
            stride4, stride8, stride16 = self.image_encoder(pixels, heads)
        else:
            fine, middle, stride16 = self.image_encoder(pixels)
            stride4, stride8 = self.sam_mask_decoder.project_high_res(fine, middle)
        return ImageFeatures(stride16, (stride4, stride8))

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """[B, 3, S, S] -> the features of photos, which have no memories."""
        return self.without_memory(self.encode_frame(pixels))

    def without_memory(self, features: ImageFeatures) -> ImageFeatures:
        """The features of a frame that has nothing to remember, ready for the mask decoder."""
        return replace(features, embedding=features.embedding + self.no_mem_embed.reshape(1, -1, 1, 1))

    @property
    def memory_grid(self) -> tuple[int, int]:
        """Height and width of the grid on which the tokens of a memory have their places."""
        perceiver = self.spec.memory.perceiver if self.spec.memory else None
        return self.embedding_size if perceiver is None else perceiver.grid_hw

    def frame_position(self) -> Tensor:
        """The position code of a frame's features in memory attention, [1, C, h, w]."""
        return sine_map(self.embedding_size, self.spec.embed_dim).to(self.device, self.dtype)

    def begin_recalling(
        self, embedding: Tensor, *, product_dtype: torch.dtype | None = None
    ) -> Tensor | None:
        """The part of :meth:`recall` before the first look at memory, which all objects share; None where
        somebody touched it."""
        attention = self.memory_attention
        if not untouched(attention, embedding):
            return None
        return attention.begin(embedding, self.frame_position(), product_dtype=product_dtype)

    def recall(
        self,
        embedding: Tensor,  # [1, C, h, w]
        tokens: Tensor,  # [B, T, D]
        position: Tensor,  # [B or 1, T, D]
        *,
        unplaced: int,  # how many of the tokens, at the end, have no place on the memory's grid
        product_dtype: torch.dtype | None = None,
        begun: Tensor | None = None,  # of begin_recalling
    ) -> Tensor:
        """A frame's features with what is remembered of B objects in them, [B, C, h, w]."""
        return self.memory_attention(
            embedding,
            self.frame_position(),
            tokens,
            position,
            memory_grid=self.memory_grid,
            unplaced=unplaced,
            product_dtype=product_dtype,
            begun=begun,
        )

    def memorise(self, embedding: Tensor, mask: Tensor) -> Tensor:
        """The memory [B, D, h, w] of masks [B, 1, S, S], scaled as the model wants them, on one frame."""
        return self.memory_encoder(embedding, mask)

    def arrange(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """The corners of the box, then points, then a padding point, always."""
        if boxes is None:
            return (None, None) if points is None or labels is None else with_padding(points, labels)
        corners, kinds = corner_points(boxes)
        if points is None or labels is None:
            return with_padding(corners, kinds)
        both = torch.cat([corners.to(points), points], dim=1), torch.cat([kinds.to(labels), labels], dim=1)
        return with_padding(*both)


def trunk_of(spec: ModelSpec) -> tuple[nn.Module, tuple[int, ...]]:
    """The trunk and the channels of its maps, finest first."""
    match spec.trunk:
        case HieraSpec():
            return Hiera(spec.trunk), spec.trunk.channels
        case RepViTSpec():
            return RepViT(spec.trunk), spec.trunk.channels
        case PlainViTSpec():
            return PlainViT(spec.trunk), spec.trunk.channels
        case ConvSpec():
            return ConvNet(spec.trunk), spec.trunk.dims
    raise TypeError(
        "a SAM 2 model needs a HieraSpec, RepViTSpec, PlainViTSpec or ConvSpec as its trunk, "
        f"got {spec.trunk!r}"
    )


def _small(*shape: int) -> Tensor:
    return torch.randn(*shape) * 0.02
