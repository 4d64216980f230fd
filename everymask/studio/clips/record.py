"""What is kept of a clip, as JSON values by key.

    object/3       {"label", "locked"}
    prompt/12/3    {"steps": [...], "base": mask | None}     what was said of object 3 on frame 12
    mask/12/3      {"counts", "area", "score", "visibility"}  object 3 on frame 12

Steps are ``{"kind": "point", "xy", "include"}``, ``{"kind": "box", "xy"}``, and
``{"kind": "mask", "counts"}`` for what was drawn by hand; ``base`` is the mask that the first of them
corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from everymask import InputError, Mask
from everymask.formats.record import label_of
from everymask.formats.video_record import ClipMasks, ObjectMask
from everymask.masks.rle import decode, encode, from_coco, to_coco

from ..actions import NewMask

Values = Mapping[str, Any]
Step = dict[str, Any]
MaskValue = dict[str, Any]


def object_key(object_id: int) -> str:
    """The key of an object."""
    return f"object/{object_id}"


def prompt_key(frame: int, object_id: int) -> str:
    """The key of what was said of an object on a frame."""
    return f"prompt/{frame}/{object_id}"


def mask_key(frame: int, object_id: int) -> str:
    """The key of an object's mask on a frame."""
    return f"mask/{frame}/{object_id}"


def objects_of(values: Values) -> dict[int, dict[str, Any]]:
    """The objects by number."""
    found = {int(key[7:]): value for key, value in values.items() if key.startswith("object/")}
    return dict(sorted(found.items()))


def by_frame(values: Values, kind: str, object_id: int | None = None) -> dict[tuple[int, int], Any]:
    """The prompts or masks by frame and object; ``kind`` is "prompt" or "mask"."""
    found = {}
    for key, value in values.items():
        name, _, rest = key.partition("/")
        if name == kind:
            frame, _, number = rest.partition("/")
            if object_id is None or int(number) == object_id:
                found[int(frame), int(number)] = value
    return dict(sorted(found.items()))


def prompted(values: Values) -> set[int]:
    """The objects that were prompted on some frame: those that can be followed."""
    return {object_id for _, object_id in by_frame(values, "prompt")}


def mask_value(mask: ObjectMask) -> MaskValue:
    """A mask as it is kept."""
    return {
        "counts": to_coco(mask.rle)["counts"],
        "area": mask.rle.area,
        "score": round(mask.score, 4),
        "visibility": round(mask.visibility, 4),
    }


def mask_of(new: NewMask, frame_hw: tuple[int, int]) -> MaskValue:
    """A mask that came from elsewhere, as it is kept. Raises InputError for one without pixels."""
    mask = Mask({"size": list(frame_hw), "counts": new.counts})
    if not mask.area:
        raise InputError("a mask without pixels is no object; leave it out")
    score = 1.0 if new.predicted_iou is None else new.predicted_iou
    return mask_value(ObjectMask(from_coco(mask.rle), score, 1.0))


def drawn_value(pixels: np.ndarray) -> MaskValue:
    """A mask drawn by hand, bool [H, W]: believed."""
    return mask_value(ObjectMask(encode(pixels), 1.0, float(pixels.any())))


def object_mask(value: MaskValue, frame_hw: tuple[int, int]) -> ObjectMask:
    """The inverse of :func:`mask_value`."""
    rle = from_coco({"size": list(frame_hw), "counts": value["counts"]})
    return ObjectMask(rle, value["score"], value["visibility"])


def values_of(
    clip: ClipMasks, called_now: Callable[[str | None], str | None] = lambda label: label
) -> dict[str, Any]:
    """Masks of a file as a record; each object is prompted with its mask where it is first seen.

    Objects are numbered from 1 here: a file that counts from 0 moves up. ``called_now`` says how a class of
    the file is called by now.
    """
    shift = 1 - min([1, *clip.object_ids])
    values: dict[str, Any] = {}
    for object_id in clip.object_ids:
        number = object_id + shift
        values[object_key(number)] = {"label": called_now(label_of(clip.called(object_id))), "locked": False}
        known = {frame: clip.frames[frame].get(object_id) for frame in sorted(clip.frames)}
        masks = {frame: mask_value(mask) for frame, mask in known.items() if mask is not None}
        values |= {mask_key(frame, number): value for frame, value in masks.items()}
        first = next((frame for frame, value in masks.items() if value["area"]), None)
        if first is not None:
            step = {"kind": "mask", "counts": masks[first]["counts"]}
            values[prompt_key(first, number)] = {"steps": [step], "base": None}
    return values


def pixels_of(value: MaskValue | None, frame_hw: tuple[int, int]) -> np.ndarray:
    """A mask's pixels, bool [H, W]; none for no mask."""
    if value is None:
        return np.zeros(frame_hw, bool)
    return decode(from_coco({"size": list(frame_hw), "counts": value["counts"]}))
