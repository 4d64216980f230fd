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


@dataclass(frozen=True)
class EverythingMeasures:
    """What the scores of one photo are made of."""

    overlaps: list[float]  # of each region
    coverage: float
    masks: int
    seconds: float
    edges: list[list[int]]  # counts by threshold, see `edge_counts`


def score_everything(generator: AutomaticMaskGenerator, photos: Iterable[Annotated]) -> EverythingScores:
    """Everything-mode scores on annotated photos."""
    return everything_scores(measure_everything(generator, example) for example in photos)


def measure_everything(generator: AutomaticMaskGenerator, example: Annotated) -> EverythingMeasures:
    """Everything mode on one photo, beside its regions and borders."""
    started = time.perf_counter()
    masks = generator.generate(example.photo)
    seconds = time.perf_counter() - started
    hw = example.photo.shape[:2]
    stack = np.stack([m.segmentation for m in masks]) if len(masks) else np.zeros((0, *hw), bool)
    scores = np.array([m.predicted_iou or 0.0 for m in masks])
    reach = max(1, round(EDGE_REACH * float(np.hypot(*hw))))
    edges = edge_counts(edge_strength(stack, scores), example.borders(), THRESHOLDS, reach)
    return EverythingMeasures(
        overlaps=[float(iou(stack, region).max(initial=0.0)) for region in example.regions()],
        coverage=float(stack.any(0).mean()),
        masks=len(masks),
        seconds=seconds,
        edges=edges.tolist(),
    )


def everything_scores(photos: Iterable[EverythingMeasures]) -> EverythingScores:
    """The means over all photos, and over the regions of all."""
    every = list(photos)
    return EverythingScores(
        abo=float(np.mean(np.concatenate([each.overlaps for each in every]))),
        coverage=float(np.mean([each.coverage for each in every])),
        edge_f=best_f(np.sum([each.edges for each in every], axis=0)),
        masks_per_photo=float(np.mean([each.masks for each in every])),
        seconds_per_photo=float(np.median([each.seconds for each in every])),
    )


def edge_strength(masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The score of the best mask with a border at each pixel, or 0: [M, H, W], [M] -> [H, W]."""
    strength = np.zeros(masks.shape[1:])
    for mask, score in zip(masks, scores, strict=True):
        np.maximum(strength, np.where(borders(mask), score, 0.0), out=strength)
    return strength
