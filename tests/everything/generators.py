"""What the tests of everything mode share: small models, official generators of any size, comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from everymask.masks import rle
from everymask.masks.boxes import iou_matrix
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


FEW_PIXELS = 3
"""So many pixels of a mask may lie within rounding of the threshold however small the photo is."""


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
        # On 150 x 60 pixels the share is less than one, and without vector instructions two differ.
        assert (a != b).sum() <= max(FEW_PIXELS, pixels * a.size)
        np.testing.assert_allclose(mine["bbox"], official["bbox"], atol=1)


def flip_margin(
    one: dict[str, Any],
    everyone: list[dict[str, Any]],
    options: dict[str, Any],
    photo_hw: tuple[int, int],
) -> float:
    """By how little a mask that only one side has was kept there: the least of the margins of all filters.

    Predicted IoU and stability count in their own units, suppression by the IoU of two boxes or, where they
    overlap, by their difference in rank; a box within a pixel of the 20 px at a crop's edge counts 0.
    """
    margins = [
        abs(one["predicted_iou"] - options["pred_iou_thresh"]),
        abs(one["stability_score"] - options["stability_score_thresh"]),
        _edge_margin(one["bbox"], one["crop_box"], photo_hw),
    ]
    limits = options.get("box_nms_thresh", 0.7), options.get("crop_nms_thresh", 0.7)
    for other in everyone:
        if other is one:
            continue
        overlap = iou_matrix(*(_xyxy(x["bbox"])[None] for x in (one, other)))[0, 0]
        margins += [abs(overlap - limit) for limit in limits]
        same_place = other["point_coords"] == one["point_coords"]
        if overlap > min(limits) and not same_place:
            margins.append(abs(one["predicted_iou"] - other["predicted_iou"]))
    return float(min(margins))


def _xyxy(box_xywh: list[float]) -> np.ndarray:
    x, y, width, height = box_xywh
    return np.array([x, y, x + width, y + height], np.float64)


def _edge_margin(box_xywh: list[float], crop_xywh: list[float], photo_hw: tuple[int, int]) -> float:
    box, crop = _xyxy(box_xywh), _xyxy(crop_xywh)
    inner = crop != np.array([0, 0, photo_hw[1], photo_hw[0]])  # the photo's own edges cut nothing off
    return 0.0 if (inner & (np.abs(np.abs(box - crop) - 20) <= 1)).any() else np.inf
