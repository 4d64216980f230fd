"""Merging: what ``masks.merged`` joins under several thresholds, and whether people see one thing there, too.

    python -m benchmarks merging -- BSDS_VAL --limit 8

Everything mode runs once a photo. For each ``contrast`` (colours of both sides of a border, Delta E) and
``cover``: masks a photo, merges, of these how many bring the mask nearer to a region of an annotator than the
best of its pieces was (``better``) or take it further away (``worse``), mean overlap of the regions and
panoptic quality. ``contrast`` 0 merges only what a better mask covers together, ``cover`` 2 only by borders.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from everymask.evaluate.data import annotated_photos
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.explore.goals import iou_matrix, score_against
from everymask.maskset import MaskSet
from everymask.models.load import load

TRIED = ((0.0, 0.7), (0.0, 0.8), (0.0, 0.9), (3.0, 2.0), (6.0, 2.0), (10.0, 2.0), (15.0, 2.0))
"""Contrast and cover."""
ALIKE = 0.02
"""Changes of IoU that count as none."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks merging --", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--annotators", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    generator = AutomaticMaskGenerator(
        load(given.model, dtype=torch.float32), points_per_side=given.points_per_side
    )
    rows: dict[tuple[float, float] | None, list[list[float]]] = {}
    for example in annotated_photos(given.folder, given.limit, given.annotators):
        references = list(example.annotators)
        masks = generator.generate(example.photo)
        rows.setdefault(None, []).append(told(masks, masks, references))
        for contrast, cover in TRIED:
            merged = masks.merged(example.photo, contrast=contrast, cover=cover)
            rows.setdefault((contrast, cover), []).append(told(masks, merged, references))
        print(example.name, flush=True)
    for key, values in rows.items():
        count, merges, better, worse = np.sum(values, axis=0)[:4]
        overlap, quality = np.mean(values, axis=0)[4:]
        name = "not merged" if key is None else f"contrast {key[0]:g}, cover {key[1]:g}"
        print(
            f"{name:24s} masks {count / len(values):5.1f}  merges {merges:4.0f}  better {better:4.0f}  "
            f"worse {worse:4.0f}  overlap {overlap:.3f}  quality {quality:.3f}"
        )


def told(masks: MaskSet, merged: MaskSet, references: list[MaskSet]) -> list[float]:
    """Masks, merges, better and worse ones, overlap, quality of one photo."""
    before = np.concatenate([iou_matrix(masks, reference) for reference in references], axis=1)
    after = np.concatenate([iou_matrix(merged, reference) for reference in references], axis=1)
    changes = [
        after[number].max() - before[[piece - 1 for piece in mask.attributes["merged"]]].max()
        for number, mask in enumerate(merged)
        if "merged" in mask.attributes and max(mask.attributes["merged"]) <= len(masks)
    ]
    scores = [score_against(merged, references, goal) for goal in ("overlap", "quality")]
    moved = np.array(changes)
    return [len(merged), len(moved), (moved > ALIKE).sum(), (moved < -ALIKE).sum(), *scores]


if __name__ == "__main__":
    main()
