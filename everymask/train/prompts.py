"""Simulated users: regions are drawn from label maps, then clicked on, boxed, corrected.

Letters used in shapes: S side of the picture, s = S / 4 side of the mask logits, P prompts, G nested
ground truths of a click (at most 3, small to large).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LEVEL_SHARES = (0.25, 0.5, 0.25)  # parts, wholes, groups
AREA_POWER = (
    0.2  # how much more often large regions are asked for; at 0.5 quality estimates favoured too large masks
)
JITTERED = 0.4  # of the boxes; the others are exact
BOX_JITTER = 0.05  # of the box's side, standard deviation


@dataclass(frozen=True)
class Target:
    """One region to ask for, the prompts that ask for it, and everything else a click there can mean."""

    click_xy: np.ndarray  # [2] pixels
    box_xyxy: np.ndarray  # [4] pixels, jittered as a hand would
    masks: np.ndarray  # [3, s, s] float32 in 0..1: nested truths at the click, small to large; unused ones 0
    valid: np.ndarray  # [3] bool
    primary: int  # which of them was meant


def draw_targets(
    rng: np.random.Generator, labels: np.ndarray, count: int, min_share: float = 0.005
) -> list[Target]:
    """``count`` targets in label maps [3, S, S]; large regions more often than their number says."""
    regions = list_regions(labels, min_share) or list_regions(labels, 0)
    weights = np.array([LEVEL_SHARES[r[0]] * r[2] ** AREA_POWER for r in regions])
    chosen = rng.choice(len(regions), count, p=weights / weights.sum())
    return [make_target(rng, labels, regions[index][0], regions[index][1]) for index in chosen]


def list_regions(labels: np.ndarray, min_share: float) -> list[tuple[int, int, int]]:
    """(level, label, area) of each region of at least ``min_share`` of the pixels, label 0 left out."""
    found = []
    for level, label_map in enumerate(labels):
        areas = np.bincount(label_map.ravel())
        areas[:1] = 0  # label 0: not known
        keep = np.flatnonzero(areas >= min_share * label_map.size)
        found += [(level, int(label), int(areas[label])) for label in keep]
    return found


def make_target(rng: np.random.Generator, labels: np.ndarray, level: int, label: int) -> Target:
    region = labels[level] == label
    x, y = click_inside(rng, region)
    chain: list[np.ndarray] = []
    primary = 0
    for at, label_map in enumerate(labels):
        mask = label_map == label_map[y, x]
        if label_map[y, x] == 0:  # not known here
            continue
        if not chain or mask.sum() > 1.03 * chain[-1].sum():
            chain.append(mask)
        if at == level:
            primary = len(chain) - 1
    masks = np.zeros((3, labels.shape[1] // 4, labels.shape[2] // 4), np.float32)
    for index, mask in enumerate(chain):
        masks[index] = shrink(mask)
    valid = np.arange(3) < len(chain)
    return Target(np.array([x, y], np.float32), jittered_box(rng, region), masks, valid, primary)


def shrink(mask: np.ndarray) -> np.ndarray:
    """The share of each 4 x 4 block that lies in the mask: [S, S] bool -> [s, s] float32.

    >>> shrink(np.eye(4, dtype=bool))
    array([[0.25]], dtype=float32)
    """
    small = mask.shape[1] // 4, mask.shape[0] // 4
    return cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)


def click_inside(rng: np.random.Generator, region: np.ndarray) -> tuple[int, int]:
    """A pixel (x, y) of the region: half of the time its innermost one, otherwise any."""
    if rng.random() < 0.5:
        padded = cv2.copyMakeBorder(region.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = divmod(int(distance.argmax()), region.shape[1])
        return x, y
    inside = np.flatnonzero(region)
    y, x = divmod(int(inside[rng.integers(len(inside))]), region.shape[1])
    return x, y


def jittered_box(rng: np.random.Generator, region: np.ndarray) -> np.ndarray:
    """The region's bounding box XYXY (last pixels inside) as a hand would draw it."""
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    box = np.array([x, y, x + width - 1, y + height - 1], np.float32)
    if rng.random() < JITTERED:
        sides = np.array([width, height, width, height])
        box = box + np.clip(rng.normal(0, BOX_JITTER, 4) * sides, -20, 20)
    limit = np.array([region.shape[1], region.shape[0]] * 2) - 1
    return np.clip(box, 0, limit).astype(np.float32)


def corrective_click(
    rng: np.random.Generator, predicted: np.ndarray, truth: np.ndarray
) -> tuple[float, float, int]:
    """A click (x, y, label) in the wrong pixels of a prediction, both bool [s, s], in their pixels.

    Label 1 where something is missing, 0 where something is too much. Without errors: a click inside.
    """
    wrong = predicted != truth
    candidates = wrong if wrong.any() else truth
    if not candidates.any():
        return truth.shape[1] / 2, truth.shape[0] / 2, 0
    if rng.random() < 0.5:
        padded = np.pad(candidates.astype(np.uint8), 1)
        best = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax()
    else:
        inside = np.flatnonzero(candidates)
        best = inside[rng.integers(len(inside))]
    y, x = divmod(int(best), truth.shape[1])
    return float(x), float(y), int(truth[y, x])
