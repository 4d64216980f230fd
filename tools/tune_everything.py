#!/usr/bin/env python3
"""Which everything-mode thresholds suit a model: overlap with known regions against the number of masks.

    python tools/tune_everything.py ANNOTATED --count PHOTOS [--model nano] [--limit 20]

All candidates of each photo are made once, with thresholds wide open; every combination of thresholds is
then applied to them. ANNOTATED holds photos with label maps (mean best overlap is measured there), PHOTOS any
photos (their masks are counted). Printed: for each most masks on one of PHOTOS the best overlap and how.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

import everymask as em
from everymask.evaluate.data import annotated_photos
from everymask.masks.nms import suppress
from everymask.media.photos import read_photo

QUALITIES = np.arange(0.2, 0.36, 0.01)
STABILITIES = np.arange(0.7, 0.9, 0.02)
SUPPRESSIONS = (0.38, 0.4, 0.41, 0.42, 0.44, 0.5)
MOST_MASKS = (60, 80, 100, 150)


@dataclass(frozen=True)
class Pool:
    """All candidates of a photo: what filters look at [K], and their overlaps with its regions [K, R]."""

    boxes_xyxy: np.ndarray
    quality: np.ndarray
    stability: np.ndarray
    overlaps: np.ndarray

    def kept(self, quality: float, stability: float, suppression: float) -> np.ndarray:
        """The candidates that these thresholds leave."""
        passed = np.flatnonzero((self.quality > quality) & (self.stability >= stability))
        return passed[suppress(self.boxes_xyxy[passed], self.quality[passed], suppression)]


def pool(generator: em.AutomaticMaskGenerator, photo: np.ndarray, regions: list[np.ndarray]) -> Pool:
    masks = generator.generate(photo)
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (m.bbox for m in masks)]).reshape(-1, 4)
    overlaps = np.zeros((len(masks), len(regions)))
    truths = np.stack([region.ravel() for region in regions]).astype(np.float32).T if regions else None
    for start in range(0, len(masks) if regions else 0, 256):
        some = np.stack([m.segmentation.ravel() for m in masks[start : start + 256]]).astype(np.float32)
        both = some @ truths  # counts below 2^24 are exact
        either = some.sum(1)[:, None] + truths.sum(0) - both
        overlaps[start : start + len(some)] = both / np.maximum(either, 1)
    quality = np.array([m.predicted_iou for m in masks], float)
    return Pool(boxes, quality, np.array([m.stability_score for m in masks], float), overlaps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotated", type=Path)
    parser.add_argument("--count", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=20)
    options = parser.parse_args()
    generator = em.AutomaticMaskGenerator(
        em.load(options.model),
        pred_iou_thresh=float(QUALITIES[0]),
        stability_score_thresh=float(STABILITIES[0]),
        box_nms_thresh=1.0,
    )
    known = []
    for example in annotated_photos(options.annotated, options.limit):
        known.append(pool(generator, example.photo, example.regions()))
    counted = [pool(generator, read_photo(path), []) for path in sorted(options.count.glob("*.jpg"))]
    rows = []
    for thresholds in product(QUALITIES, STABILITIES, SUPPRESSIONS):
        best = [p.overlaps[p.kept(*thresholds)].max(axis=0, initial=0.0) for p in known]
        counts = [len(p.kept(*thresholds)) for p in counted]
        rows.append((float(np.concatenate(best).mean()), counts, thresholds))
    for most in MOST_MASKS:
        overlap, counts, (quality, stability, suppression) = max(
            (row for row in rows if max(row[1]) <= most), key=lambda row: row[0]
        )
        print(
            f"at most {most} masks: overlap {overlap:.4f}, masks {counts}, pred_iou_thresh={quality:.2f} "
            f"stability_score_thresh={stability:.2f} box_nms_thresh={suppression}"
        )


if __name__ == "__main__":
    main()
