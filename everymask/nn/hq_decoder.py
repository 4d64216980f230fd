"""HQ-SAM's mask decoder (Ke et al. 2023): SAM's, and one more token whose mask is read from a finer map.

That map is what SAM upscales, convolved twice more; in HQ-SAM plus a map of the photo alone that an early
layer of the trunk has a say in, which HQ-SAM 2 does without. The mask of the token is added to those that are
handed on (:func:`everymask.nn.choice.choose_masks`). Key names are those of the official checkpoints.

Letters used in shapes: B images, P prompts, T tokens, M masks of SAM (4), C channels, E of the early map,
h x w the embedding grid.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from everymask.nn.layers import MLP, LayerNorm2d
from everymask.nn.mask_decoder import DecoderSpec, MaskDecoder
from everymask.nn.records import Decoded


class HqMaskDecoder(MaskDecoder):
    """A mask decoder with HQ-SAM's output token; ``spec.early_dim`` is E, None in HQ-SAM 2."""

    usual = False  # the fast form for many prompts knows nothing of the token

    def __init__(self, dim: int, spec: DecoderSpec, transformer: nn.Module | None = None) -> None:
        super().__init__(dim, spec, transformer)
        self.hf_token = nn.Embedding(1, dim)
        self.hf_mlp = MLP(dim, dim, dim // 8, 3)
        if spec.early_dim is not None:
            self.compress_vit_feat = _quadrupled(spec.early_dim, dim, dim // 8)
            self.embedding_encoder = _quadrupled(dim, dim // 4, dim // 8)
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(dim // 8, dim // 4, 3, padding=1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 8, 3, padding=1),
        )

    def fine_map(self, embedding: Tensor, early: Tensor) -> Tensor:
        """What the photo alone gives to the mask of the token, once for all prompts: [B, C/8, 4h, 4w].

        ``embedding`` [B, C, h, w] of the trunk, ``early`` [B, E, h, w] of its early layer.
        """
        return self.embedding_encoder(embedding) + self.compress_vit_feat(early)

    def tokens(self, sparse: Tensor) -> Tensor:
        """Output tokens before prompt tokens, [P, T, C]: (object,) IoU, masks, the finer mask, prompt."""
        finer = self.hf_token.weight[None].expand(sparse.shape[0], -1, -1)
        return super().tokens(torch.cat([finer, sparse], dim=1))

    def forward(
        self, image: Tensor, image_position: Tensor, sparse: Tensor, high_res: tuple[Tensor, ...] = ()
    ) -> Decoded:
        """As :meth:`MaskDecoder.forward`; HQ-SAM's last ``high_res`` is the map of :meth:`fine_map`."""
        tokens, attended = self.attend(image, image_position, self.tokens(sparse))
        upscaled = self.upscale(attended, image.shape[-2:], high_res)
        place = int(self.spec.object_score) + 1 + self.spec.masks
        hyper = self.hf_mlp(tokens[:, place])[:, None]  # [P, 1, C/8]
        finer = self.embedding_maskfeature(upscaled)
        if self.spec.early_dim is not None:
            finer = finer + high_res[-1]
        logits = torch.einsum("pmc,pchw->pmhw", hyper, finer.to(hyper.dtype))
        return replace(self.read_out(tokens, upscaled), hq_logits=logits)


def _quadrupled(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """[B, inputs, h, w] -> [B, outputs, 4h, 4w]."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, hidden, kernel_size=2, stride=2),
        LayerNorm2d(hidden),
        nn.GELU(),
        nn.ConvTranspose2d(hidden, outputs, kernel_size=2, stride=2),
    )
