"""Prompt tokens and image features become masks, quality estimates and an object score.

The decoder gives everything it knows; :mod:`everymask.nn.choice` picks among its masks.

Letters used in shapes: P prompts, T tokens, M masks of a prompt (4), C channels, h x w the embedding grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from everymask.nn.layers import MLP, LayerNorm2d
from everymask.nn.records import Decoded
from everymask.nn.two_way import TwoWayTransformer


@dataclass(frozen=True)
class DecoderSpec:
    """The dimensions of a mask decoder and what its family adds; the defaults are SAM's."""

    depth: int = 2
    heads: int = 8
    mlp_dim: int = 2048
    masks: int = 4  # one for a prompt that is clear, three for one that is ambiguous
    iou_hidden_dim: int = 256
    iou_depth: int = 3
    iou_sigmoid: bool = False  # SAM 2: quality estimates between 0 and 1; SAM's are not bounded
    mlp_block: bool = True  # the names in the transformer's MLP: SAM's lin1, lin2, or SAM 2's layers.0, .1
    high_res: bool = False  # SAM 2: adds the encoder's stride-4 and stride-8 maps while upscaling
    object_score: bool = False  # SAM 2: one more token that says whether the object is there at all
    early_dim: int | None = None  # HQ-SAM: channels of the trunk's early map, for one more token and mask
    hq_token: bool = False  # HQ-SAM 2: that token and mask without an early map

    @property
    def is_hq(self) -> bool:
        return self.hq_token or self.early_dim is not None


class MaskDecoder(nn.Module):
    """One mask decoder for SAM and SAM 2; HQ-SAM's is in ``nn/hq_decoder.py``."""

    # of nn/point_decoder.py, the fast form for many prompts
    PARTS: ClassVar = {
        "transformer": TwoWayTransformer,
        "output_upscaling": nn.Module,
        "output_hypernetworks_mlps": MLP,
        "iou_prediction_head": MLP,
    }

    def __init__(self, dim: int, spec: DecoderSpec, transformer: nn.Module | None = None) -> None:
        """``transformer`` in place of one of the sizes of ``spec``."""
        super().__init__()
        self.spec = spec
        if transformer is None:
            transformer = TwoWayTransformer(
                spec.depth, dim, spec.heads, spec.mlp_dim, mlp_block=spec.mlp_block
            )
        self.transformer = cast(TwoWayTransformer, transformer)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(spec.masks, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, dim // 8, 3) for _ in range(spec.masks))
        self.iou_prediction_head = MLP(
            dim, spec.iou_hidden_dim, spec.masks, spec.iou_depth, sigmoid=spec.iou_sigmoid
        )
        if spec.high_res:
            self.conv_s0 = nn.Conv2d(dim, dim // 8, kernel_size=1)
            self.conv_s1 = nn.Conv2d(dim, dim // 4, kernel_size=1)
        if spec.object_score:
            self.obj_score_token = nn.Embedding(1, dim)
            self.pred_obj_score_head = MLP(dim, dim, 1, 3)

    def forward(
        self, image: Tensor, image_position: Tensor, sparse: Tensor, high_res: tuple[Tensor, ...] = ()
    ) -> Decoded:
        """All masks of P prompts.

        ``image`` [P or 1, C, h, w] with the dense prompt already added, ``image_position`` [1, C, h, w],
        ``sparse`` [P, N, C], ``high_res`` the maps [P or 1, C/8, 4h, 4w] and [P or 1, C/4, 2h, 2w] of SAM 2.
        """
        tokens, attended = self.attend(image, image_position, self.tokens(sparse))
        return self.read_out(tokens, self.upscale(attended, image.shape[-2:], high_res))

    def attend(self, image: Tensor, image_position: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [P, T, C] and image tokens [P, h * w, C] after the transformer."""
        if not isinstance(self.transformer, TwoWayTransformer):  # somebody else's expects an image a prompt
            image, image_position = (x.expand(len(tokens), -1, -1, -1) for x in (image, image_position))
        return self.transformer(image, image_position, tokens)

    def tokens(self, sparse: Tensor) -> Tensor:
        """Output tokens before prompt tokens, [P, T, C]: (object,) IoU, masks, prompt."""
        own = [self.iou_token.weight, self.mask_tokens.weight]
        if self.spec.object_score:
            own.insert(0, self.obj_score_token.weight)
        output = torch.cat(own)[None].expand(sparse.shape[0], -1, -1)
        return torch.cat([output, sparse], dim=1)

    def upscale(self, attended: Tensor, hw: Sequence[int], high_res: tuple[Tensor, ...]) -> Tensor:
        """Image tokens [P, h * w, C] -> a map [P, C/8, 4h, 4w] that the masks are read from."""
        first, norm, act, second, last_act = self.output_upscaling
        coarse = attended.transpose(1, 2).unflatten(2, hw)
        if not self.spec.high_res:
            return last_act(second(act(norm(first(coarse)))))
        stride4, stride8 = high_res
        return last_act(second(act(norm(first(coarse) + stride8))) + stride4)

    def read_out(self, tokens: Tensor, upscaled: Tensor) -> Decoded:
        """Tokens after attention [P, T, C] and the upscaled map -> masks, estimates, object score."""
        start = int(self.spec.object_score)
        mask_tokens = tokens[:, start + 1 : start + 1 + self.spec.masks]
        return Decoded(
            mask_logits=self.mask_logits(mask_tokens, upscaled),
            iou=self.iou_prediction_head(tokens[:, start]),
            mask_tokens=mask_tokens,
            object_logit=self.pred_obj_score_head(tokens[:, 0]) if self.spec.object_score else None,
        )

    def mask_logits(self, mask_tokens: Tensor, upscaled: Tensor) -> Tensor:
        """[P, M, C] and [P, C/8, 4h, 4w] -> [P, M, 4h, 4w], in the (wider) type of the hypernetworks."""
        weights = [mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        hyper = torch.stack(weights, dim=1)  # [P, M, C/8]
        return torch.einsum("pmc,pchw->pmhw", hyper, upscaled.to(hyper.dtype))

    def project_high_res(self, stride4: Tensor, stride8: Tensor) -> tuple[Tensor, Tensor]:
        """SAM 2: the neck's fine maps narrowed once per image, not once per prompt."""
        return self.conv_s0(stride4), self.conv_s1(stride8)
