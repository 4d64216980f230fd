"""What a batch costs: a model is asked by clicks, boxes and corrections, its answers are measured.

Letters used in shapes: B images, P = B * prompts per image, M masks, S side, s = S / 4.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
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
    disobedience,
    edge_loss,
    mask_loss,
    same_region_loss,
    true_iou,
)
from everymask.train.prompts import corrective_clicks, nested_truths, rough_masks
from everymask.train.scenes import PART
from everymask.train.state import TrainOptions, TrainState
from everymask.train.views import Views

BOTH_SHARE = 0.25  # of the boxes; they come with a click inside the region
CLICK_COUNTS = {
    2: 4.0,
    3: 3.0,
    4: 3.0,
    5: 3.0,
    6: 1.5,
    7: 1.0,
    8: 1.0,
}  # how often, as far as they are allowed
PAYS_FROM_WIDTH = 256
"""On CPUs with bfloat16 units a step of SAM 2.1 tiny is 1.2 times as fast in it, one of nano (128 wide) 0.8
times: casts take more than small products gain."""
SCATTERED = 0.25  # of the clicks after the first; they do not correct, but lie anywhere inside or outside


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
    chance: Tensor  # [clicks - 1, B * corrections, 2 + s * s] in 0..1: where further clicks go
    drawn: Tensor  # [192] cells at stride 8 that the second task looks at
    rough: Tensor  # [B * rough_masks, 1, s, s] logits: rough masks of each image's first prompts
    complete: Tensor  # [B] whether an image's label maps are known nearly everywhere, parts among them

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
    further = count_clicks(options, step) - 1
    chance = torch.rand(further, corrected, 2 + truths[0, 0].numel(), generator=generator, device=device)
    drawn = torch.randint((side // 8) ** 2, (192,), generator=generator, device=device)
    complete = (views.labels[:, PART] > 0).flatten(1).float().mean(1) > 0.5
    meant = truths[torch.arange(len(primary), device=device), primary]
    first = meant.view(len(views.photos), -1, *meant.shape[1:])[:, : options.rough_masks].flatten(0, 1)
    return Batch(
        pixels,
        views.labels,
        views.clicks,
        views.boxes,
        truths,
        valid,
        primary,
        chance,
        drawn,
        rough_masks(first, generator),
        complete,
    )


def count_clicks(options: TrainOptions, step: int) -> int:
    """How many clicks a corrected prompt gets in this step, the same on every machine."""
    counts = [count for count in CLICK_COUNTS if count <= options.most_clicks]
    weights = np.array([CLICK_COUNTS[count] for count in counts])
    return int(np.random.default_rng([options.seed, step, 4]).choice(counts, p=weights / weights.sum()))


def batch_losses(state: TrainState, batch: Batch, options: TrainOptions) -> dict[str, Tensor]:
    """Clicks for ``options.click_share`` of the prompts, boxes for the others (a quarter of them with a click
    besides), more clicks for a few, a rough mask alone for some."""
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
        clicked = ask(model, features, by_click, points=batch.clicks[by_click, None], labels=ones)
        boxed = [ask(model, features, by_box, boxes=batch.boxes[by_box])]
        if both:
            points, labels = batch.clicks[by_both, None], ones[: len(by_both)]
            boxes = batch.boxes[by_both]
            boxed.append(ask(model, features, by_both, points=points, labels=labels, boxes=boxes))
        losses = click_losses(clicked, batch, by_click, weights)
        losses |= box_losses(joined(boxed), batch, torch.cat([by_box, by_both]), weights)
        if options.corrections:
            begun = [Begun(by_click, clicked, False), Begun(by_box, boxed[0], True)]
            losses |= correction_losses(model, features, batch, begun, options)
        if options.rough_masks:
            losses |= rough_mask_losses(
                model, features, batch, order[:, : options.rough_masks].flatten(), weights
            )
    if state.dense is not None:
        losses |= dense_losses(state.dense, features, batch, weights, aside=state.step < options.dense_after)
    losses["calm"] = weights.calm * features.embedding.float().square().mean()
    return losses


def compute_type(model: PromptableModel, bfloat16: bool | None):
    """bfloat16 where it is asked for, or (None) where a step is faster in it; on CPUs attention is
    written out, whose backward is faster there."""
    if not (steps_faster_in_bfloat16(model) if bfloat16 is None else bfloat16):
        return sdpa_kernel(SDPBackend.MATH) if model.device.type == "cpu" else nullcontext()
    return _Both(torch.autocast(model.device.type, torch.bfloat16), model.device.type == "cpu")


def steps_faster_in_bfloat16(model: PromptableModel) -> bool:
    """Whether a training step of this model is faster in bfloat16 on its device."""
    wide = model.device.type != "cpu" or model.spec.embed_dim >= PAYS_FROM_WIDTH
    return wide and fast_dtype(model.device) == torch.bfloat16


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
    chosen: Tensor,
    *,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
) -> Decoded:
    """Decode the prompts numbered ``chosen``, equally many of each image, in order; float32 results."""
    each = len(chosen) // len(features)
    maps = (tuple(repeat(x, each) for x in some) for some in (features.high_res, features.early))
    own = ImageFeatures(repeat(features.embedding, each), *maps)
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
    losses = {
        "best": best_of_three(logits[:, 1:], batch.truths[chosen], share, weights).mean(),
        "single": weights.single * mask_loss(logits[:, 0], meant, weights).mean(),
        "iou": quality_loss(decoded, batch, chosen, weights),
    }
    inside = torch.ones(len(chosen), 1, dtype=torch.int32, device=logits.device)
    disobeyed = disobedience(logits, batch.clicks[chosen, None], inside)
    losses["obey"] = 0.15 * weights.disobeyed * disobeyed.mean()
    if decoded.object_logit is not None:
        losses["object"] = weights.object_score * nn.functional.softplus(-decoded.object_logit).mean()
    return losses


def quality_loss(decoded: Decoded, batch: Batch, chosen: Tensor, weights: LossWeights) -> Tensor:
    """The squared error of the estimates of all masks; less of it where truths are known in one size only."""
    logits, meant = decoded.mask_logits, batch.meant[chosen]
    with torch.no_grad():
        quality = true_iou(logits, meant[:, None].expand_as(logits))
    image = chosen // (len(batch.primary) // len(batch.complete))
    weight = torch.where(batch.complete[image], 1.0, weights.unranked)
    return weights.iou * (weight[:, None] * (decoded.iou - quality).square()).mean()


def box_losses(decoded: Decoded, batch: Batch, chosen: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    logits, meant = decoded.mask_logits, batch.meant[chosen]
    weights = replace(weights, focal=weights.box_focal, dice=weights.box_dice)
    several = mask_loss(logits, meant[:, None].expand_as(logits), weights)  # [P, M]
    loss = several[:, 0] + 0.3 * several[:, 1:].min(dim=1).values
    return {
        "box": loss.mean(),
        "box_quality": 0.5 * quality_loss(decoded, batch, chosen, weights),
    }


def rough_mask_losses(
    model: PromptableModel, features: ImageFeatures, batch: Batch, chosen: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """A rough mask alone as the prompt."""
    decoded = ask(model, features, chosen, masks=batch.rough)
    each = mask_loss(decoded.mask_logits, batch.meant[chosen, None].expand_as(decoded.mask_logits), weights)
    loss = each[:, 0] + 0.3 * each[:, 1:].min(dim=1).values
    scale = weights.single * len(chosen) / len(batch.primary)
    return {"rough": 2 * scale * loss.mean()}


@dataclass(frozen=True)
class Begun:
    """Prompts that were asked once, and what was answered."""

    asked: Tensor  # [P] their numbers
    answer: Decoded
    by_box: bool  # or by the click


def correction_losses(
    model: PromptableModel,
    features: ImageFeatures,
    batch: Batch,
    begun: list[Begun],
    options: TrainOptions,
) -> dict[str, Tensor]:
    """Further clicks, most of them where the last answer was wrong. The last of them is answered twice: with
    the answer before as the mask prompt, as one corrects, and without, as when all come in one call."""
    total: dict[str, Tensor] = {}
    used = 0
    for index, each in enumerate(begun):
        count = (options.corrections + (index == 0)) // 2 if len(begun) > 1 else options.corrections
        count = min(count, len(each.asked) // options.batch)
        if count == 0:
            continue
        part = slice(used * options.batch, (used + count) * options.batch)
        used += count
        for name, value in sequence_losses(model, features, batch, each, count, part, options).items():
            total[name] = total[name] + value if name in total else value
    return total


def sequence_losses(
    model: PromptableModel,
    features: ImageFeatures,
    batch: Batch,
    begun: Begun,
    count: int,
    part: slice,
    options: TrainOptions,
) -> dict[str, Tensor]:
    weights = options.weights
    some = (
        torch.arange(len(begun.asked), device=begun.asked.device).view(options.batch, -1)[:, :count].flatten()
    )
    chosen = begun.asked[some]
    first = begun.answer
    previous = first.mask_logits[some, 1 + first.iou[some, 1:].argmax(1)].detach()
    truth = batch.meant[chosen] > 0.5
    if begun.by_box:
        boxes = batch.boxes[chosen]
        points = batch.clicks.new_zeros(len(chosen), 0, 2)
        labels = torch.zeros(len(chosen), 0, dtype=torch.int32, device=points.device)
    else:
        boxes, points = None, batch.clicks[chosen, None]
        labels = torch.ones(len(chosen), 1, dtype=torch.int32, device=points.device)
    for further, chance in enumerate(batch.chance[:, part]):
        if further > 0:
            with torch.no_grad():
                previous = ask(
                    model,
                    features,
                    chosen,
                    points=points,
                    labels=labels,
                    boxes=boxes,
                    masks=previous[:, None],
                ).mask_logits[:, 0]
        previous = previous.clamp(-20, 20)
        seen = previous > 0
        scattered, whole = chance[:, 0] < SCATTERED, chance[:, 0] < 0.35 * SCATTERED
        wrong = torch.where(scattered[:, None, None], whole[:, None, None].expand_as(seen), seen)
        cells, label = corrective_clicks(wrong, truth, chance[:, 1:])
        points = torch.cat([points, (4 * cells + 1.5)[:, None]], 1)
        labels = torch.cat([labels, label[:, None]], 1)
    meant = batch.meant[chosen]
    losses: dict[str, Tensor] = {}
    for name, masks in (("corrected", previous[:, None]), ("at_once", None)):
        answer = ask(model, features, chosen, points=points, labels=labels, boxes=boxes, masks=masks)
        mask = answer.mask_logits[:, :1]
        with torch.no_grad():
            quality = true_iou(mask[:, 0], meant)
        scale = 3 * weights.single * len(chosen) / len(batch.primary)
        obeyed = weights.disobeyed * disobedience(mask, points, labels)[:, 0]
        losses[name] = scale * (mask_loss(mask[:, 0], meant, weights) + obeyed).mean()
        losses[name + "_quality"] = (
            scale * weights.unranked * weights.iou * (answer.iou[:, 0] - quality).square().mean()
        )
    return losses


def dense_losses(
    dense: DenseHead, features: ImageFeatures, batch: Batch, weights: LossWeights, *, aside: bool = False
) -> dict[str, Tensor]:
    """The second task; ``aside`` leaves the encoder alone while a fresh head finds its feet."""
    whole = ImageFeatures(features.embedding.float(), tuple(x.float() for x in features.high_res))
    if aside:
        whole = ImageFeatures(whole.embedding.detach(), tuple(x.detach() for x in whole.high_res))
    embeddings, edges = dense(whole)
    at_stride8 = batch.labels[..., 4::8, 4::8].flatten(2)[..., batch.drawn]  # [B, 3, N]
    pixels = embeddings.flatten(2)[..., batch.drawn].transpose(1, 2)  # [B, N, D]
    alike = same_region_loss(pixels, at_stride8, dense.scale, dense.bias)
    return {
        "dense": weights.dense * alike,
        "edges": weights.edges * edge_loss(edges, label_edges(batch.labels), batch.complete),
    }
