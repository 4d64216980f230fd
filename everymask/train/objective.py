"""What a batch costs: a model is asked by clicks, boxes and corrections, its answers are measured.

Letters used in shapes: B images, P = B * prompts per image, M masks, S side, s = S / 4.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from everymask.models.base import PromptableModel
from everymask.nn.product_type import fast_dtype
from everymask.nn.records import Decoded, ImageFeatures
from everymask.train.dense import DenseHead, label_edges
from everymask.train.losses import (
    LossWeights,
    best_of_three,
    edge_loss,
    mask_loss,
    same_region_loss,
    true_iou,
)
from everymask.train.prompts import corrective_clicks, nested_truths
from everymask.train.state import TrainOptions, TrainState
from everymask.train.views import Views

BOTH_SHARE = 0.25  # of the boxes; they come with a click inside the region


@dataclass(frozen=True)
class Batch:
    """Pictures and targets as tensors."""

    pixels: Tensor  # [B, 3, S, S], normalised
    labels: Tensor  # [B, 3, S, S]
    clicks: Tensor  # [P, 2] model pixels; the prompts of the first image first
    boxes: Tensor  # [P, 4]
    truths: Tensor  # [P, 3, s, s]
    valid: Tensor  # [P, 3]
    primary: Tensor  # [P]
    chance: Tensor  # [B * corrections, 1 + s * s] in 0..1: where corrective clicks go
    drawn: Tensor  # [192] cells at stride 8 that the second task looks at

    @property
    def meant(self) -> Tensor:
        """The truth each prompt meant, [P, s, s]."""
        return self.truths[torch.arange(len(self.primary), device=self.primary.device), self.primary]


def make_batch(views: Views, model: PromptableModel, options: TrainOptions, step: int) -> Batch:
    """Views on the model's device, the photos as its trunk takes them, all that their clicks can mean, and
    what chance decides in this step."""
    device, side = model.device, model.spec.image_size
    views = Views(*(x.to(device, non_blocking=True) for x in views))
    truths, valid, primary = nested_truths(views.labels, views.clicks, views.levels)
    pixels = model.normalise(views.photos * (model.frame((side, side)).white / 255))
    generator = torch.Generator(device).manual_seed(options.seed * 1_000_003 + step)
    corrected = options.corrections * len(views.photos)
    chance = torch.rand(corrected, 1 + truths[0, 0].numel(), generator=generator, device=device)
    drawn = torch.randint((side // 8) ** 2, (192,), generator=generator, device=device)
    return Batch(pixels, views.labels, views.clicks, views.boxes, truths, valid, primary, chance, drawn)


def batch_losses(state: TrainState, batch: Batch, options: TrainOptions) -> dict[str, Tensor]:
    """Clicks for ``options.click_share`` of the prompts, boxes for the others (a quarter of them with a click
    besides), a second round with corrections for a few."""
    model, weights = state.model, options.weights
    with compute_type(model, options.bfloat16):
        features = model.encode_image(batch.pixels)
        order = torch.arange(len(batch.primary), device=batch.primary.device).view(options.batch, -1)
        share = round(options.click_share * options.prompts)
        both = round(BOTH_SHARE * (options.prompts - share))
        by_click, by_both, by_box = (
            order[:, :share].flatten(),
            order[:, share : share + both].flatten(),
            order[:, share + both :].flatten(),
        )
        ones = torch.ones(len(by_click), 1, dtype=torch.int32, device=order.device)
        clicked = ask(model, features, batch, by_click, points=batch.clicks[by_click, None], labels=ones)
        boxed = [ask(model, features, batch, by_box, boxes=batch.boxes[by_box])]
        if both:
            points, labels = batch.clicks[by_both, None], ones[: len(by_both)]
            boxes = batch.boxes[by_both]
            boxed.append(ask(model, features, batch, by_both, points=points, labels=labels, boxes=boxes))
        losses = click_losses(clicked, batch, by_click, weights)
        losses |= box_losses(joined(boxed), batch, torch.cat([by_box, by_both]), weights)
        if options.corrections:
            losses |= correction_losses(model, features, batch, by_click, clicked, options)
    if state.dense is not None:
        losses |= dense_losses(state.dense, features, batch, weights)
    losses["calm"] = weights.calm * features.embedding.float().square().mean()
    return losses


def compute_type(model: PromptableModel, bfloat16: bool | None):
    """bfloat16 where it is asked for, or (None) where the device is faster in it; on CPUs attention is
    written out, whose backward is faster there."""
    if bfloat16 is None:
        bfloat16 = fast_dtype(model.device) == torch.bfloat16
    if not bfloat16:
        return sdpa_kernel(SDPBackend.MATH) if model.device.type == "cpu" else nullcontext()
    return _Both(torch.autocast(model.device.type, torch.bfloat16), model.device.type == "cpu")


class _Both:
    def __init__(self, autocast: torch.autocast, plain_attention: bool) -> None:
        self.managers = [autocast, sdpa_kernel(SDPBackend.MATH)] if plain_attention else [autocast]

    def __enter__(self) -> None:
        for manager in self.managers:
            manager.__enter__()

    def __exit__(self, *error) -> None:
        for manager in reversed(self.managers):
            manager.__exit__(*error)


def ask(
    model: PromptableModel,
    features: ImageFeatures,
    batch: Batch,
    chosen: Tensor,
    *,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
) -> Decoded:
    """Decode the prompts numbered ``chosen``, equally many of each image, in order; float32 results."""
    each = len(chosen) // len(features)
    own = ImageFeatures(repeat(features.embedding, each), tuple(repeat(x, each) for x in features.high_res))
    arranged = model.arrange(points, labels, boxes)
    decoded = model.decode(own, model.encode_prompts(*arranged, masks))
    score = None if decoded.object_logit is None else decoded.object_logit.float()
    return replace(
        decoded, mask_logits=decoded.mask_logits.float(), iou=decoded.iou.float(), object_logit=score
    )


def joined(parts: list[Decoded]) -> Decoded:
    """The masks and estimates of several calls of :func:`ask`, one after the other."""
    return replace(
        parts[0],
        mask_logits=torch.cat([part.mask_logits for part in parts]),
        iou=torch.cat([part.iou for part in parts]),
    )


def repeat(x: Tensor, times: int) -> Tensor:
    """[B, ...] -> [B * times, ...]; indexing would do, but its backward is many times slower on CPUs."""
    return x[:, None].expand(-1, times, *x.shape[1:]).flatten(0, 1)


def click_losses(decoded: Decoded, batch: Batch, chosen: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    logits, meant = decoded.mask_logits, batch.meant[chosen]
    share = batch.valid[chosen].float() * weights.other_truths
    share.scatter_(1, batch.primary[chosen, None], 1.0)
    with torch.no_grad():
        quality = true_iou(logits, meant[:, None].expand_as(logits))
    losses = {
        "best": best_of_three(logits[:, 1:], batch.truths[chosen], share, weights).mean(),
        "single": weights.single * mask_loss(logits[:, 0], meant, weights).mean(),
        "iou": weights.iou * (decoded.iou - quality).square().mean(),
    }
    if decoded.object_logit is not None:
        losses["object"] = weights.object_score * nn.functional.softplus(-decoded.object_logit).mean()
    return losses


def box_losses(decoded: Decoded, batch: Batch, chosen: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    logits, meant = decoded.mask_logits, batch.meant[chosen]
    with torch.no_grad():
        quality = true_iou(logits, meant[:, None].expand_as(logits))
    weights = replace(weights, focal=weights.box_focal, dice=weights.box_dice)
    several = mask_loss(logits, meant[:, None].expand_as(logits), weights)  # [P, M]
    loss = several[:, 0] + 0.3 * several[:, 1:].min(dim=1).values
    return {
        "box": loss.mean(),
        "box_quality": 0.5 * weights.iou * (decoded.iou - quality).square().mean(),
    }


def correction_losses(
    model: PromptableModel,
    features: ImageFeatures,
    batch: Batch,
    asked: Tensor,
    first: Decoded,
    options: TrainOptions,
) -> dict[str, Tensor]:
    """A second click where the first answer was wrong, with that answer as the mask prompt."""
    some = (
        torch.arange(len(asked), device=asked.device)
        .view(options.batch, -1)[:, : options.corrections]
        .flatten()
    )
    chosen = asked[some]
    previous = first.mask_logits[some, 1 + first.iou[some, 1:].argmax(1)].detach().clamp(-20, 20)
    truth = batch.meant[chosen] > 0.5
    cells, label = corrective_clicks(previous > 0, truth, batch.chance)
    points = torch.stack([batch.clicks[chosen], 4 * cells + 1.5], dim=1)
    labels = torch.stack([torch.ones_like(label), label], dim=1)
    again = ask(model, features, batch, chosen, points=points, labels=labels, masks=previous[:, None])
    meant = batch.meant[chosen]
    with torch.no_grad():
        quality = true_iou(again.mask_logits[:, 0], meant)
    scale = options.weights.single * len(chosen) / len(asked)
    return {
        "corrected": scale * mask_loss(again.mask_logits[:, 0], meant, options.weights).mean(),
        "corrected_quality": scale * options.weights.iou * (again.iou[:, 0] - quality).square().mean(),
    }


def dense_losses(
    dense: DenseHead, features: ImageFeatures, batch: Batch, weights: LossWeights
) -> dict[str, Tensor]:
    whole = ImageFeatures(features.embedding.float(), tuple(x.float() for x in features.high_res))
    embeddings, edges = dense(whole)
    at_stride8 = batch.labels[..., 4::8, 4::8].flatten(2)[..., batch.drawn]  # [B, 3, N]
    pixels = embeddings.flatten(2)[..., batch.drawn].transpose(1, 2)  # [B, N, D]
    alike = same_region_loss(pixels, at_stride8, dense.scale, dense.bias)
    return {
        "dense": weights.dense * alike,
        "edges": weights.edges * edge_loss(edges, label_edges(batch.labels)),
    }
