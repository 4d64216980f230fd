"""Masks as ``supervision.Detections``, for its annotators, trackers and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, require
from ..formats.record import label_of
from ..maskset import Mask, MaskSet

if TYPE_CHECKING:
    import supervision

SCORE_NAMES = ("predicted_iou", "stability_score")


def to_supervision(masks: MaskSet) -> supervision.Detections:
    """Detections with boxes (last pixel included, as supervision counts), masks, names and scores.

    Masks stay run lengths (``CompactMask``) where the installed version can hold them. ``confidence`` is
    the predicted IoU, if every mask has one; ``class_id`` is a label's place in the sorted labels. Masks
    without a pixel have no box and are left out.
    """
    sv = require("supervision", "notebook", "masks as Detections")
    filled = [mask for mask in masks if mask.area]
    if not filled:
        return sv.Detections.empty()
    xyxy = np.array([_inclusive_xyxy(mask) for mask in filled], np.float32)
    data: dict[str, Any] = {}
    class_id = None
    if any(mask.label is not None for mask in filled):
        names = [mask.label or "object" for mask in filled]
        order = {name: number for number, name in enumerate(sorted(set(names)))}
        class_id = np.array([order[name] for name in names])
        data["class_name"] = np.array(names)
    for name in SCORE_NAMES:
        values = [getattr(mask, name) for mask in filled]
        if all(value is not None for value in values):
            data[name] = np.array(values, np.float32)
    return sv.Detections(
        xyxy=xyxy,
        mask=_masks(sv, filled, xyxy, masks.photo_hw),
        confidence=data.get("predicted_iou"),
        class_id=class_id,
        data=data,
    )


def from_supervision(detections: supervision.Detections) -> MaskSet:
    """The masks of Detections, with class names and scores; raises :class:`FormatError` without masks."""
    if detections.mask is None or not hasattr(detections.mask, "__len__"):
        raise FormatError(
            "these Detections have boxes only; pass them on: predictor.predict(box=detections.xyxy)"
        )
    height, width = np.shape(detections.mask)[-2:]
    names = detections.data.get("class_name")
    scores = {name: detections.data.get(name) for name in SCORE_NAMES}
    if scores["predicted_iou"] is None:
        scores["predicted_iou"] = detections.confidence
    masks = []
    for row in range(len(detections)):
        label = None if names is None else label_of(str(names[row]))
        if names is None and detections.class_id is not None:
            label = str(detections.class_id[row])
        known = {name: float(values[row]) for name, values in scores.items() if values is not None}
        masks.append(Mask.from_segmentation(detections.mask[row], label=label, **known))
    return MaskSet(masks, (height, width))


def _inclusive_xyxy(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = mask.extent
    return columns.start, rows.start, columns.stop - 1, rows.stop - 1


def _masks(sv: Any, masks: list[Mask], xyxy: np.ndarray, photo_hw: tuple[int, int]) -> Any:
    compact = getattr(sv, "CompactMask", None)
    if compact is not None and hasattr(compact, "from_coco_rle"):
        return compact.from_coco_rle([mask.rle for mask in masks], xyxy, photo_hw)
    return np.stack([mask.segmentation for mask in masks])
