"""Simulated users: regions are drawn from label maps, then clicked on, boxed, corrected.

Letters used in shapes: B images, S side of the picture, s = S / 4 side of the mask logits, P prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LEVEL_SHARES = (0.25, 0.5, 0.25)  # parts, wholes, groups
AREA_POWER = (
    -0.25
)  # of a region's area, how often it is asked for: sizes are then as people mark them in photos
JITTERED = 0.4  # of the boxes; the others are exact
BOX_JITTER = 0.05  # of the box's side, standard deviation
DEEPEST = 10  # cells; further inside an error all places are equally good for a correction


@dataclass(frozen=True)
class Target:
    """One region to ask for, and the prompts that ask for it."""

    click_xy: np.ndarray  # [2] pixels
    box_xyxy: np.ndarray  # [4] pixels, jittered as a hand would
    level: int  # on which of the three label maps the region is


def draw_targets(
    rng: np.random.Generator,
    labels: np.ndarray,
    count: int,
    min_share: float = 0.005,
    jittered: float = JITTERED,
) -> list[Target]:
    """``count`` targets in label maps [3, S, S]; small regions more often than their number says. A share of
    ``jittered`` of the boxes is inexact."""
    regions = list_regions(labels, min_share) or list_regions(labels, 0)
    weights = np.array([LEVEL_SHARES[r[0]] * r[2] ** AREA_POWER for r in regions])
    chosen = rng.choice(len(regions), count, p=weights / weights.sum())
    return [make_target(rng, labels, regions[index][0], regions[index][1], jittered) for index in chosen]


def list_regions(labels: np.ndarray, min_share: float) -> list[tuple[int, int, int]]:
    """(level, label, area) of each region of at least ``min_share`` of the pixels and one pixel, label 0 left
    out."""
    found = []
    for level, label_map in enumerate(labels):
        areas = np.bincount(label_map.ravel())
        areas[:1] = 0  # label 0: not known
        keep = np.flatnonzero(areas >= max(1, min_share * label_map.size))
        found += [(level, int(label), int(areas[label])) for label in keep]
    return found


def make_target(
    rng: np.random.Generator, labels: np.ndarray, level: int, label: int, jittered: float = JITTERED
) -> Target:
    region = labels[level] == label
    click = np.array(click_inside(rng, region), np.float32)
    return Target(click, jittered_box(rng, region, jittered), level)


def click_inside(rng: np.random.Generator, region: np.ndarray) -> tuple[int, int]:
    """A pixel (x, y) of the region: half of the time its innermost one, otherwise any."""
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    window = region[top : top + height, left : left + width]
    if rng.random() < 0.5:
        padded = cv2.copyMakeBorder(window.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        picked = int(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax())
    else:
        inside = np.flatnonzero(window)
        picked = int(inside[rng.integers(len(inside))])
    y, x = divmod(picked, width)
    return left + x, top + y


def jittered_box(rng: np.random.Generator, region: np.ndarray, share: float = JITTERED) -> np.ndarray:
    """The region's bounding box XYXY (last pixels inside), a ``share`` of them as a hand would draw them."""
    x, y, width, height = cv2.boundingRect(region.view(np.uint8))
    box = np.array([x, y, x + width - 1, y + height - 1], np.float32)
    if rng.random() < share:
        sides = np.array([width, height, width, height])
        box = box + np.clip(rng.normal(0, BOX_JITTER, 4) * sides, -20, 20)
    limit = np.array([region.shape[1], region.shape[0]] * 2) - 1
    return np.clip(box, 0, limit).astype(np.float32)


def nested_truths(labels: Tensor, clicks_xy: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What clicks can mean: the regions of the three label maps at each, small to large, equals once.

    ``labels`` uint8 [B, 3, S, S], ``clicks_xy`` [P, 2] pixels, the first image's first, ``levels`` [P] the
    map that was meant -> truths float32 [P, 3, s, s] (the share of each 4 x 4 block that lies in the region;
    unused ones 0), which of them are used bool [P, 3], which of them was meant [P].
    """
    images, prompts = len(labels), len(clicks_xy)
    x, y = clicks_xy.long().unbind(1)
    image = torch.arange(prompts, device=labels.device) // (prompts // images)
    side = labels.shape[-1] // 4
    truths = torch.zeros(prompts, 3, side, side, device=labels.device)
    largest = torch.zeros(prompts, device=labels.device)
    count = torch.zeros(prompts, dtype=torch.long, device=labels.device)
    meant = torch.zeros_like(count)
    slots = torch.arange(3, device=labels.device)
    for level in range(3):
        number = labels[image, level, y, x]
        same = labels[:, None, level] == number.view(images, -1, 1, 1)
        share = F.avg_pool2d(same.flatten(0, 1).float(), 4)
        area = share.sum((1, 2))
        known = number > 0
        fresh = known & (area > 1.03 * largest)
        here = fresh[:, None] & (slots == count[:, None])
        truths = torch.where(here[..., None, None], share[:, None], truths)
        largest = torch.where(fresh, area, largest)
        count = count + fresh
        meant = torch.where(known & (levels == level), count - 1, meant)
    return truths, slots < count[:, None], meant


def corrective_clicks(predicted: Tensor, truth: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """For each of P predictions a click in its wrong cells, both bool [P, s, s]: half of the time deep inside
    an error, otherwise anywhere in one. ``chance`` [P, 1 + s * s] in 0..1 decides.

    Returns places (x, y) [P, 2] in cells and labels int32 [P]: 1 where something is missing, 0 where there
    is too much. Without errors: a click inside; without truth: label 0 in the middle.
    """
    wrong = predicted != truth
    candidates = torch.where(wrong.flatten(1).any(1)[:, None, None], wrong, truth)
    coin, noise = chance[:, 0], chance[:, 1:].view(truth.shape)
    deep = depth(candidates) * (coin < 0.5)[:, None, None]
    picked = torch.where(candidates, 1 + deep + noise, 0.0).flatten(1).argmax(1)
    picked = torch.where(candidates.flatten(1).any(1), picked, truth[0].numel() // 2 + truth.shape[2] // 2)
    labels = truth.flatten(1).gather(1, picked[:, None])[:, 0].int()
    y, x = picked // truth.shape[2], picked % truth.shape[2]
    return torch.stack([x, y], 1).float(), labels


def rough_masks(truths: Tensor, generator: torch.Generator) -> Tensor:
    """Truths [P, s, s] as a hand or another program would give them: shifted, grown or shrunk, as weak or
    strong logits [P, 1, s, s]."""
    given = []
    for truth in truths:
        change, down, across = torch.randint(-3, 4, (3,), generator=generator, device=truth.device).tolist()
        x = truth[None, None]
        if change > 0:
            x = F.max_pool2d(x, 2 * change + 1, 1, change)
        elif change < 0:
            x = 1 - F.max_pool2d(1 - x, 1 - 2 * change, 1, -change)
        if not (x > 0.5).any():
            x = truth[None, None]
        x = torch.roll(x, (down, across), (2, 3)) if x.mean() > 0.02 else x
        strength = 4 + 16 * torch.rand((), generator=generator, device=truth.device)
        given.append(strength * (2 * x - 1))
    return torch.cat(given) if given else truths[:, None]


def depth(masks: Tensor) -> Tensor:
    """How many cells each cell lies inside its mask, bool [P, s, s] -> float32, at most ``DEEPEST``.

    >>> depth(torch.ones(1, 3, 3, dtype=torch.bool))[0, 1].tolist()
    [1.0, 2.0, 1.0]
    """
    outside = 1 - masks[:, None].float()
    total = 1 - outside
    for _ in range(DEEPEST - 1):
        padded = F.pad(outside, (1, 1, 1, 1), value=1.0)
        outside = F.max_pool2d(padded, 3, stride=1)
        total = total + 1 - outside
    return total[:, 0]
