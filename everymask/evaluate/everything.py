"""How good everything mode is, on photos with masks: regions found, pixels covered, edges on edges."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from everymask.evaluate.data import Annotated
from everymask.evaluate.metrics import best_f, borders, edge_counts, iou
from everymask.everything.generate import AutomaticMaskGenerator

THRESHOLDS = np.linspace(0.05, 1.0, 20)
EDGE_REACH = 0.0075  # of the photo's diagonal


@dataclass(frozen=True)
class EverythingScores:
    """Over human regions of at least 1% of their photo."""

    abo: float  # mean over human regions of the best IoU of any mask
    coverage: float  # share of pixels under at least one mask
    edge_f: float  # best F over score thresholds, borders matched by dilation: compare with itself only
    masks_per_photo: float
    seconds_per_photo: float  # median


def score_everything(generator: AutomaticMaskGenerator, photos: Iterable[Annotated]) -> EverythingScores:
    """Everything-mode scores on annotated photos."""
    overlaps: list[float] = []
    coverage, counts, seconds = [], [], []
    edges = np.zeros((len(THRESHOLDS), 4), np.int64)
    for example in photos:
        started = time.perf_counter()
        masks = generator.generate(example.photo)
        seconds.append(time.perf_counter() - started)
        hw = example.photo.shape[:2]
        stack = np.stack([m.segmentation for m in masks]) if len(masks) else np.zeros((0, *hw), bool)
        scores = np.array([m.predicted_iou or 0.0 for m in masks])
        counts.append(len(masks))
        coverage.append(stack.any(0).mean())
        overlaps += [float(iou(stack, region).max(initial=0.0)) for region in example.regions()]
        reach = max(1, round(EDGE_REACH * float(np.hypot(*hw))))
        edges += edge_counts(edge_strength(stack, scores), example.borders(), THRESHOLDS, reach)
    return EverythingScores(
        abo=float(np.mean(overlaps)),
        coverage=float(np.mean(coverage)),
        edge_f=best_f(edges),
        masks_per_photo=float(np.mean(counts)),
        seconds_per_photo=float(np.median(seconds)),
    )


def edge_strength(masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The score of the best mask with a border at each pixel, or 0: [M, H, W], [M] -> [H, W]."""
    strength = np.zeros(masks.shape[1:])
    for mask, score in zip(masks, scores, strict=True):
        np.maximum(strength, np.where(borders(mask), score, 0.0), out=strength)
    return strength
