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


@torch.no_grad()
def score_prompts(model: PromptableModel, photos: Iterable[Annotated]) -> PromptedScores:
    """Click and box scores of a model on annotated photos."""
    best, top, single, boxed = [], [], [], []
    predicted_all, true_all = [], []
    for example in photos:
        regions = example.regions()
        clicks = torch.tensor([innermost(r) for r in regions])
        boxes = torch.tensor([bounding_box(r) for r in regions])
        answer = answers(model, example.photo, clicks, boxes)
        for index, region in enumerate(regions):
            truth = iou(answer.click_masks[index], region)
            several, estimates = truth[1:], answer.click_iou[index, 1:]
            best.append(several.max())
            top.append(several[int(estimates.argmax())])
            single.append(truth[0])
            boxed.append(iou(answer.box_masks[index][None], region)[0])
            predicted_all.append(estimates)
            true_all.append(several)
    return PromptedScores(
        regions=len(best),
        click_best=float(np.mean(best)),
        click_top=float(np.mean(top)),
        click_single=float(np.mean(single)),
        box_iou=float(np.mean(boxed)),
        rank_correlation=rank_correlation(np.concatenate(predicted_all), np.concatenate(true_all)),
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
        click_masks.append((frame.upscale(by_click.mask_logits.float()) > model.mask_threshold).cpu().numpy())
        click_iou.append(by_click.iou.float().cpu().numpy())
        box_masks.append(
            (frame.upscale(by_box.mask_logits.float()) > model.mask_threshold)[:, 0].cpu().numpy()
        )
    return Answers(np.concatenate(click_masks), np.concatenate(click_iou), np.concatenate(box_masks))


def at_photo_size(model: PromptableModel, frame: Frame, logits: Tensor) -> np.ndarray:
    """Logits [P, M, s, s] -> masks bool [P, M, H, W]."""
    return (frame.upscale(logits.float()) > model.mask_threshold).cpu().numpy()
