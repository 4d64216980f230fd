"""Which of the decoder's masks to hand on: pure functions on :class:`Decoded`.

Letters used in shapes: P prompts, M masks of a prompt, h x w the mask logits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from everymask.nn.records import Decoded


@dataclass(frozen=True)
class StabilityFallback:
    """When the single mask is unstable, take the best of the three others (SAM 2's "dynamic multimask")."""

    offset: float = 0.05
    threshold: float = 0.98


def choose_masks(
    decoded: Decoded,
    multimask: bool,
    fallback: StabilityFallback | None = None,
    *,
    hq_token_only: bool = False,
    hq_best: bool = True,
) -> Decoded:
    """The masks to hand on: the three of an ambiguous prompt, or one.

    With ``multimask`` masks 1 to M-1 and their tokens [P, M-1, ...]; without it mask 0 [P, 1, ...], or,
    given a ``fallback``, the best of the others where mask 0 is unstable. The token stays that of mask 0 even
    then: SAM 2 makes its object pointer of it.

    HQ-SAM adds the logits of its own token to what it hands on, or hands on these alone if ``hq_token_only``;
    of the three it keeps the one of highest predicted IoU. HQ-SAM 2 (``hq_best`` False) keeps all three.
    """
    if not multimask:
        chosen = _slice(decoded, slice(0, 1))
        if fallback is not None:
            chosen = _fall_back(chosen, decoded, fallback)
    else:
        chosen = _slice(decoded, slice(1, None))
        if decoded.hq_logits is not None and hq_best:
            chosen = best_by_iou(chosen)
    return chosen if decoded.hq_logits is None else _finer(chosen, decoded.hq_logits, hq_token_only)


def best_by_iou(decoded: Decoded) -> Decoded:
    """The mask of highest predicted IoU, [P, 1, ...]; the first of equals."""
    index = decoded.iou.argmax(dim=1)
    rows = torch.arange(len(index), device=index.device)
    return replace(
        decoded,
        mask_logits=decoded.mask_logits[rows, index][:, None],
        iou=decoded.iou[rows, index][:, None],
        mask_tokens=decoded.mask_tokens[rows, index][:, None],
    )


def single_mask_stability(mask_logits: Tensor, offset: float) -> Tensor:
    """Area above ``offset`` over area above ``-offset``, [..., h, w] -> [...]; 1 where both are empty.

    >>> single_mask_stability(torch.tensor([[1.0, 0.0, -1.0, 2.0]]), 0.5).item()
    0.6666666865348816
    """
    inner = (mask_logits > offset).sum(dim=(-2, -1)).float()
    outer = (mask_logits > -offset).sum(dim=(-2, -1)).float()
    return torch.where(outer > 0, inner / outer, 1.0)


def _finer(chosen: Decoded, hq_logits: Tensor, alone: bool) -> Decoded:
    logits = hq_logits.expand_as(chosen.mask_logits) if alone else chosen.mask_logits + hq_logits
    return replace(chosen, mask_logits=logits, hq_logits=None)


def _slice(decoded: Decoded, which: slice) -> Decoded:
    return replace(
        decoded,
        mask_logits=decoded.mask_logits[:, which],
        iou=decoded.iou[:, which],
        mask_tokens=decoded.mask_tokens[:, which],
    )


def _fall_back(single: Decoded, decoded: Decoded, fallback: StabilityFallback) -> Decoded:
    best = best_by_iou(_slice(decoded, slice(1, None)))
    stable = single_mask_stability(single.mask_logits, fallback.offset) >= fallback.threshold  # [P, 1]
    return replace(
        single,
        mask_logits=torch.where(stable[..., None, None], single.mask_logits, best.mask_logits),
        iou=torch.where(stable, single.iou, best.iou),
    )
