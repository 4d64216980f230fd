"""What the tests of everything mode share: small models, official generators of any size, comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from everymask.masks import rle
from everymask.masks.scores import rle_iou
from everymask.models.specs import ModelSpec


def official_generator(spec: ModelSpec, model: Any, **options: Any) -> Any:
    """The official generator of the family, made to work at the spec's image size."""
    if spec.family == "sam":
        from segment_anything import SamAutomaticMaskGenerator

        return SamAutomaticMaskGenerator(model, **options)
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    generator = SAM2AutomaticMaskGenerator(model, **options)
    sides = (spec.image_size // stride for stride in (4, 8, 16))
    generator.predictor._bb_feat_sizes = [(side, side) for side in sides]
    return generator


def matched(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], least_iou: float = 0.9) -> int:
    """How many masks find a partner of their own at this IoU, best pairs first."""
    a, b = ([rle.from_coco(d["segmentation"]) for d in dicts] for dicts in (ours, theirs))
    pairs = [(rle_iou(x, y), i, j) for i, x in enumerate(a) for j, y in enumerate(b)]
    used_a: set[int] = set()
    used_b: set[int] = set()
    for iou, i, j in sorted(pairs, reverse=True):
        if iou >= least_iou and i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
    return len(used_a)


def assert_same_masks(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], pixels: float = 1e-4) -> None:
    """The same masks in the same order: exact numbers where they are counted, close ones where computed."""
    assert len(ours) == len(theirs)
    for mine, official in zip(ours, theirs, strict=True):
        assert list(mine) == list(official)
        assert mine["point_coords"] == official["point_coords"]
        assert mine["crop_box"] == official["crop_box"]
        np.testing.assert_allclose(mine["predicted_iou"], official["predicted_iou"], atol=2e-6)
        np.testing.assert_allclose(mine["stability_score"], official["stability_score"], atol=1e-3)
        a, b = (rle.decode(rle.from_coco(d["segmentation"])) for d in (mine, official))
        assert (a != b).mean() <= pixels
        np.testing.assert_allclose(mine["bbox"], official["bbox"], atol=1)
