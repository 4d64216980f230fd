"""Many prompts on one photo that share what depends on the photo only."""

from __future__ import annotations

import torch
from torch import Tensor

from everymask.nn.point_decoder import PointDecoder
from everymask.nn.records import Decoded

WORTH_PREPARING = 4
"""Prompts from which :class:`PointDecoder` pays: what it prepares costs about as much as one prompt."""

_TILE = 2  # prompts at a time: what they share stays in the processor's cache


@torch.no_grad()
def decode_many(points: PointDecoder, sparse: Tensor) -> Decoded:
    """All masks of P prompts ``sparse`` [P, N, C] without mask prompts, the object score left out.

    The masks of :meth:`MaskDecoder.forward` to about 1e-6 of their spread; three times as fast on a CPU.
    """
    every = range(points.decoder.spec.masks)
    logits, ious, tokens = [], [], []
    for start in range(0, len(sparse), _TILE):
        attended = points.attend(sparse[start : start + _TILE])
        logits += [points.masks(attended, prompt, every) for prompt in range(len(attended.iou))]
        ious.append(attended.iou)
        tokens.append(attended.mask_tokens)
    return Decoded(torch.stack(logits), torch.cat(ious), torch.cat(tokens))
