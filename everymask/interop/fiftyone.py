"""Masks as FiftyOne detections, for its app and data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, MissingExtraError
from ..formats.record import category_of, label_of, pasted, pixel_box_xywh
from ..maskset import Mask, MaskSet

if TYPE_CHECKING:
    import fiftyone


def to_fiftyone(masks: MaskSet) -> fiftyone.Detections:
    """FiftyOne ``Detections``: relative boxes, instance masks of the box alone, labels, confidences.

    Set the result on a sample: ``sample["masks"] = masks.to_fiftyone()``. Masks without a pixel have no box
    and are left out.
    """
    fo = _fiftyone()
    height, width = masks.photo_hw
    scale = np.array([width, height, width, height], np.float64)
    return fo.Detections(
        detections=[
            fo.Detection(
                label=category_of(mask),
                bounding_box=(np.array(pixel_box_xywh(mask)) / scale).tolist(),
                mask=mask.crop(),
                confidence=mask.predicted_iou,
                stability_score=mask.stability_score,
            )
            for mask in masks
            if mask.area
        ]
    )


def from_fiftyone(detections: fiftyone.Detections, photo_hw: tuple[int, int]) -> MaskSet:
    """The masks of FiftyOne ``Detections`` on a photo of ``photo_hw`` (height, width) in pixels.

    Raises :class:`FormatError` for a detection without a mask, or with one that leaves the photo.
    """
    masks = []
    for number, detection in enumerate(detections.detections, 1):
        if detection.mask is None:
            raise FormatError(
                f"detection {number} ({detection.label!r}) has a box only; "
                "pass boxes to ImagePredictor.predict"
            )
        crop = np.asarray(detection.mask) != 0
        left = round(detection.bounding_box[0] * photo_hw[1])
        top = round(detection.bounding_box[1] * photo_hw[0])
        masks.append(
            Mask.from_rle(
                pasted(crop, left, top, photo_hw, f"detection {number}"),
                label=label_of(detection.label),
                predicted_iou=detection.confidence,
                stability_score=detection["stability_score"] if _has(detection, "stability_score") else None,
            )
        )
    return MaskSet(masks, photo_hw)


def _fiftyone() -> Any:
    """No extra of ours: its own pins would decide over everybody's versions."""
    try:
        import fiftyone
    except ImportError as error:
        raise MissingExtraError(
            "masks as FiftyOne detections need the package 'fiftyone'; run: pip install fiftyone"
        ) from error
    return fiftyone


def _has(detection: fiftyone.Detection, field: str) -> bool:
    return bool(detection.has_field(field)) and detection[field] is not None
