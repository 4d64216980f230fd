"""How good one click and one box are, on photos with masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from everymask.evaluate.data import Annotated
from everymask.evaluate.metrics import bounding_box, innermost, iou, rank_correlation
from everymask.geometry import Frame
from everymask.masks.drawn import masks_above
from everymask.models.base import PromptableModel

CHUNK = 64  # prompts decoded together


@dataclass(frozen=True)
class PromptedScores:
    """Means over all human regions of at least 1% of their photo."""

    regions: int
    click_best: float  # one click at the innermost pixel, the best of the masks
    click_top: float  # the same, the mask with the highest predicted IoU
    click_single: float  # the same click, the one-mask answer without the family's fallback
    box_iou: float  # the bounding box, one mask
    rank_correlation: float  # of predicted with true IoU, over all masks of all clicks


@dataclass(frozen=True)
class PromptedMeasures:
    """What the scores of one photo's regions are made of, a value a region."""

    best: list[float]
    top: list[float]
    single: list[float]
    boxed: list[float]
    predicted: list[float]  # of the several masks of all clicks
    true: list[float]


def score_prompts(model: PromptableModel, photos: Iterable[Annotated]) -> PromptedScores:
    """Click and box scores of a model on annotated photos."""
    return prompted_scores(measure_prompts(model, example) for example in photos)


@torch.no_grad()
def measure_prompts(model: PromptableModel, example: Annotated) -> PromptedMeasures:
    """What a model answers to one click in, and one box around, each region of a photo."""
    found = PromptedMeasures([], [], [], [], [], [])
    regions = example.regions()
    if not regions:
        return found
    clicks = torch.tensor([innermost(r) for r in regions])
    boxes = torch.tensor([bounding_box(r) for r in regions])
    answer = answers(model, example.photo, clicks, boxes)
    for index, region in enumerate(regions):
        truth = iou(answer.click_masks[index], region)
        several, estimates = truth[1:], answer.click_iou[index, 1:]
        found.best.append(float(several.max()))
        found.top.append(float(several[int(estimates.argmax())]))
        found.single.append(float(truth[0]))
        found.boxed.append(float(iou(answer.box_masks[index][None], region)[0]))
        found.predicted.extend(estimates.tolist())
        found.true.extend(several.tolist())
    return found


def prompted_scores(photos: Iterable[PromptedMeasures]) -> PromptedScores:
    """The means over the regions of all photos."""
    every = list(photos)
    best, top, single, boxed, predicted, true = (
        np.concatenate([getattr(each, name) for each in every])
        for name in ("best", "top", "single", "boxed", "predicted", "true")
    )
    return PromptedScores(
        regions=len(best),
        click_best=float(best.mean()),
        click_top=float(top.mean()),
        click_single=float(single.mean()),
        box_iou=float(boxed.mean()),
        rank_correlation=rank_correlation(predicted, true),
    )


@dataclass(frozen=True)
class Answers:
    """Masks at the photo's size: clicks' bool [P, 4, H, W], estimates [P, 4], boxes' bool [P, H, W]."""

    click_masks: np.ndarray
    click_iou: np.ndarray
    box_masks: np.ndarray


def answers(model: PromptableModel, photo: np.ndarray, clicks_xy: Tensor, boxes_xyxy: Tensor) -> Answers:
    """What a model says to clicks [P, 2] and boxes [P, 4] in photo pixels, each on its own."""
    frame = model.frame(photo.shape[:2])
    features = model.encode_image(model.preprocess(photo)[None])
    click_masks, click_iou, box_masks = [], [], []
    for start in range(0, len(clicks_xy), CHUNK):
        part = slice(start, start + CHUNK)
        points = frame.to_model(clicks_xy[part])[:, None]
        ones = torch.ones(points.shape[:2], dtype=torch.int32)
        by_click = model.decode(features, model.encode_prompts(*model.arrange(points, ones, None)))
        corners = frame.to_model(boxes_xyxy[part].reshape(-1, 2)).reshape(-1, 4)
        by_box = model.choose(
            model.decode(features, model.encode_prompts(*model.arrange(None, None, corners))), multimask=False
        )
        click_masks.append(at_photo_size(model, frame, by_click.mask_logits))
        click_iou.append(by_click.iou.float().cpu().numpy())
        box_masks.append(at_photo_size(model, frame, by_box.mask_logits)[:, 0])
    return Answers(np.concatenate(click_masks), np.concatenate(click_iou), np.concatenate(box_masks))


def at_photo_size(model: PromptableModel, frame: Frame, logits: Tensor) -> np.ndarray:
    """Logits [P, M, s, s] -> masks bool [P, M, H, W]."""
    return masks_above(logits.float(), frame.stretches, model.mask_threshold)
