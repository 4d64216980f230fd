"""Masks as FiftyOne detections, for its app and data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..errors import FormatError, MissingExtraError
from ..formats.record import (
    SCORES,
    build_mask,
    category_of,
    label_of,
    pasted,
    pixel_box_xywh,
    plain_attributes,
    plain_value,
    scores_of,
)
from ..maskset import Mask, MaskSet
from ..opencv import silent

if TYPE_CHECKING:
    import fiftyone

PREFIX = "attribute_"
"""Before the name of an attribute that FiftyOne keeps for itself (``id``, ``label``) or loses (``_note``)."""

TO_DETECTIONS = {
    "NoneType": "the sample has none in this field",
    "Detection": "put it into one: fiftyone.Detections(detections=[detection])",
    "Segmentation": "call its to_detections(mask_targets=...) first",
    "Polyline": "call its to_detection(frame_size=(width, height)) first, and put that into Detections",
    "Polylines": "call its to_detections(frame_size=(width, height)) first",
}
"""From the kind of another label to how its detections are had."""


def to_fiftyone(masks: MaskSet) -> fiftyone.Detections:
    """FiftyOne ``Detections``: relative boxes, instance masks of the box alone, labels, confidences.

    Set the result on a sample: ``sample["masks"] = masks.to_fiftyone()``. The predicted IoU is the
    confidence; other scores and attributes are fields of the detection, a name that FiftyOne keeps for itself
    with ``attribute_`` before it. Masks without a pixel have no box and are left out. Raises
    :class:`FormatError` for an attribute whose name no field can have.
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
                **_fields(mask, fo.Detection, f"mask {number}"),
            )
            for number, mask in enumerate(masks, 1)
            if mask.area
        ]
    )


def from_fiftyone(detections: fiftyone.Detections, photo_hw: tuple[int, int]) -> MaskSet:
    """The masks of FiftyOne ``Detections`` on a photo of ``photo_hw`` (height, width) in pixels.

    Masks may lie in files (``mask_path``); one whose size is not that of its box in pixels is stretched to
    it, as FiftyOne draws it. Fields that you added, tags and the index become attributes. Raises
    :class:`FormatError` for other labels, for a detection without a mask, and for one that leaves the photo.
    """
    listed = getattr(detections, "detections", None)
    if listed is None:
        kind = type(detections).__name__
        advice = TO_DETECTIONS.get(kind, "they alone have masks")
        raise FormatError(f"expected FiftyOne Detections, got {kind}; {advice}")
    return MaskSet([_mask(each, photo_hw, number) for number, each in enumerate(listed, 1)], photo_hw)


def _mask(detection: fiftyone.Detection, photo_hw: tuple[int, int], number: int) -> Mask:
    where = f"detection {number} ({detection.label!r})"
    pixels = _pixels(detection, where)
    left, top, width, height = _pixel_box(detection.bounding_box, photo_hw, where)
    if pixels.shape != (height, width):
        pixels = cv2.resize(pixels.astype(np.uint8), (width, height)) != 0  # as FiftyOne itself does
    values = {name: plain_value(value) for name, value in sorted(detection.iter_attributes())}
    scores = {name: values.pop(name, None) for name in SCORES}
    if detection.confidence is not None:
        scores["predicted_iou"] = detection.confidence
    return build_mask(
        pasted(pixels, left, top, photo_hw, where),
        scores,
        label=label_of(detection.label),
        where=where,
        attributes=_attributes(detection, values),
    )


def _pixels(detection: fiftyone.Detection, where: str) -> np.ndarray:
    """The mask of the box, bool [h, w], from the detection or its file."""
    mask = detection.mask
    if mask is None and getattr(detection, "mask_path", None):
        try:
            with silent():
                mask = detection.get_mask()
        except (OSError, ValueError) as error:
            raise FormatError(
                f"{where} has its mask in {detection.mask_path}, which cannot be read"
            ) from error
    if mask is None:
        raise FormatError(f"{where} has a box only; pass boxes to ImagePredictor.predict")
    pixels = np.asarray(mask) != 0
    if pixels.ndim != 2 or not pixels.size:
        raise FormatError(f"the mask of {where} must have shape (height, width), got {pixels.shape}")
    return pixels


def _pixel_box(
    box: Sequence[float] | None, photo_hw: tuple[int, int], where: str
) -> tuple[int, int, int, int]:
    """XYWH in pixels of a relative box, at least one pixel large."""
    sides = np.asarray([] if box is None else box, np.float64)
    if sides.shape != (4,) or not np.isfinite(sides).all():
        raise FormatError(f"{where} must have a box of 4 relative numbers (x, y, width, height), got {box}")
    x, y, width, height = sides.tolist()
    left, top = round(x * photo_hw[1]), round(y * photo_hw[0])
    right, bottom = round((x + width) * photo_hw[1]), round((y + height) * photo_hw[0])
    return left, top, max(right - left, 1), max(bottom - top, 1)


def _fields(mask: Mask, kind: type, where: str) -> dict[str, Any]:
    """What a mask has besides pixels and label, as fields of a detection."""
    fields = scores_of(mask)
    fields["confidence"] = fields.pop("predicted_iou", None)
    for name, value in plain_attributes(mask).items():
        if "." in name or "\0" in name:
            raise FormatError(
                f"{where} has the attribute {name!r}; FiftyOne takes no dots in names: rename it"
            )
        fields[name if _is_own(name, value) or _is_free(name, kind) else PREFIX + name] = value
    return fields


def _attributes(detection: fiftyone.Detection, values: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a mask, from the custom fields of a detection and those that are its own."""
    attributes: dict[str, Any] = {}
    for name, value in values.items():
        inner = name.removeprefix(PREFIX)
        attributes[name if inner == name or _is_free(inner, type(detection)) else inner] = value
    if getattr(detection, "tags", None):
        attributes["tags"] = list(detection.tags)
    if getattr(detection, "index", None) is not None:
        attributes["index"] = detection.index
    if getattr(detection, "instance_id", None) is not None:
        attributes["instance"] = str(detection.instance_id)
    return attributes


def _is_own(name: str, value: Any) -> bool:
    """Whether an attribute is what FiftyOne means by its own field of that name."""
    if name == "tags":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return name == "index" and isinstance(value, int) and not isinstance(value, bool)


def _is_free(name: str, kind: type) -> bool:
    """Whether a detection can have a field of that name which means nothing to FiftyOne, nor to us."""
    taken = name in SCORES or name in ("instance", "confidence") or hasattr(kind, name)
    return not taken and not name.startswith(("_", "$", PREFIX)) and name != ""


def _fiftyone() -> Any:
    """No extra of ours: its own pins would decide over everybody's versions."""
    try:
        import fiftyone
    except ImportError as error:
        raise MissingExtraError(
            "masks as FiftyOne detections need the package 'fiftyone'; run: pip install fiftyone"
        ) from error
    return fiftyone
