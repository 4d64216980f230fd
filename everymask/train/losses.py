"""What training minimises. Targets may be soft: the share of a pixel that lies in the region.

Letters used in shapes: P prompts, M masks of a prompt, G truths of a prompt, s side of the logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts. The mask terms are balanced (alpha 0.5, gamma 1): with SAM's own
    (alpha 0.25, gamma 2) a model trained from scratch stays too careful and its masks too small."""

    focal: float = 8.0
    dice: float = 2.0
    box_focal: float = 5.0  # after a box: with the weights of clicks its masks come out too small
    box_dice: float = 3.5  # (nano's second run: a threshold of -0.5 instead of 0 gained 0.01 IoU)
    iou: float = 6.0
    single: float = 0.6  # the one-mask token, beside the best of three
    other_truths: float = 0.5  # truths that a click also has, beside the one that was meant
    object_score: float = 0.05
    dense: float = 2.0
    edges: float = 1.0
    disobeyed: float = 1.5  # what an answer costs that leaves out a click or keeps what a click excludes
    unranked: float = (
        0.35  # of ``iou``, where a photo's truths are known in one size only: the favourite mask
    )
    # would drift to whole objects everywhere
    calm: float = 0.2
    """On the mean square of the image embedding: the neck has no norm, and an embedding much longer than
    the position codes added to it (norm 8) makes the decoder's attention blind to places."""


def mask_loss(logits: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Focal and dice loss of each mask: logits [..., s, s], truth of the same shape -> [...]."""
    cross = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    probability = logits.sigmoid()
    miss = (probability - truth).abs()
    focal = (miss * cross).mean((-2, -1))
    overlap = (probability * truth).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (probability.sum((-2, -1)) + truth.sum((-2, -1)) + 1)
    return weights.focal * focal + weights.dice * dice


def true_iou(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of the thresholded masks [..., s, s] with the truth's thresholded shares -> [...]."""
    predicted, real = logits > 0, truth > 0.5
    both = (predicted & real).sum((-2, -1)).float()
    return both / (predicted | real).sum((-2, -1)).clamp(min=1)


def disobedience(logits: Tensor, points_xy: Tensor, labels: Tensor) -> Tensor:
    """How far masks are from containing the clicks labelled 1 and leaving out those labelled 0.

    ``logits`` [P, M, s, s], ``points_xy`` [P, N, 2] model pixels (4 to a cell), ``labels`` [P, N] -> [P, M],
    a mean over clicks; other labels do not count. A click is obeyed for nothing at logits well past 1.
    """
    side = logits.shape[-1]
    places = ((points_xy + 0.5) / (2 * side) - 1)[:, None].to(logits.dtype)  # -1..1 across 4 s pixels
    at = F.grid_sample(logits, places, align_corners=False)[:, :, 0]  # [P, M, N]
    known = ((labels == 0) | (labels == 1)).to(at.dtype)[:, None]
    sign = (2 * labels.clamp(0, 1) - 1).to(at.dtype)[:, None]
    return (F.softplus(1 - sign * at) * known).sum(-1) / known.sum(-1).clamp(min=1)


def best_of_three(logits: Tensor, truths: Tensor, share: Tensor, weights: LossWeights) -> Tensor:
    """For each truth the loss of the mask that fits it best, their weighted mean [P].

    ``logits`` [P, M, s, s], ``truths`` [P, G, s, s], ``share`` [P, G] how much each truth counts.
    """
    masks, count = logits.shape[1], truths.shape[1]
    each = mask_loss(
        logits[:, :, None].expand(-1, -1, count, -1, -1),
        truths[:, None].expand(-1, masks, -1, -1, -1),
        weights,
    )  # [P, M, G]
    return (each.min(dim=1).values * share).sum(1) / share.sum(1)


def same_region_loss(embeddings: Tensor, labels: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Pixels of one region should have like embeddings: [B, N, D], labels [B, 3, N] -> scalar.

    The target is the share of the three maps (part, whole, group) on which two pixels agree, of those maps on
    which at least one of them is labelled; both kinds of pair count half.
    """
    unit = F.normalize(embeddings.float(), dim=-1)
    logits = scale * unit @ unit.transpose(1, 2) + bias  # [B, N, N]
    known = ((labels[:, :, :, None] > 0) | (labels[:, :, None] > 0)).float()
    same = (labels[:, :, :, None] == labels[:, :, None]).float()
    maps = known.sum(1)
    target = (same * known).sum(1) / maps.clamp(min=1)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    alike, unlike = target * (maps > 0), (1 - target) * (maps > 0)
    return 0.5 * (cross * alike).sum() / alike.sum().clamp(min=1) + 0.5 * (
        cross * unlike
    ).sum() / unlike.sum().clamp(min=1)


def edge_loss(logits: Tensor, edges: Tensor, known: Tensor | None = None) -> Tensor:
    """Balanced cross-entropy of an edge map [B, s, s] against the share of edge pixels in each block, of the
    photos [B] whose edges are ``known`` (None: of all)."""
    known = torch.ones(len(edges), device=edges.device) if known is None else known
    counts = known.float()[:, None, None].expand_as(edges)
    total = counts.sum().clamp(min=1)
    positive = ((edges * counts).sum() / total).clamp(0.01, 0.5)
    weight = torch.where(edges > 0.1, 0.5 / positive, 0.5 / (1 - positive)) * counts
    return (weight * F.binary_cross_entropy_with_logits(logits, edges, reduction="none")).sum() / total
