"""What goes into everything mode and what comes out of it: a photo, and candidates as masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from everymask.errors import PictureError
from everymask.everything import filters
from everymask.everything.candidates import Candidate, boxes_of
from everymask.everything.options import GeneratorOptions
from everymask.masks import rle
from everymask.masks.boxes import box_of_mask, xyxy_to_xywh
from everymask.masks.nms import overlaps, suppress_pixels
from everymask.masks.regions import remove_small_regions
from everymask.maskset import Mask


def checked_photo(photo: np.ndarray) -> np.ndarray:
    """The photo, if it is one: RGB uint8 [H, W, 3] with pixels. Raises :class:`PictureError` otherwise."""
    if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        got = (
            f"{photo.dtype} of shape {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
        )
        raise PictureError(
            f"a photo must be an RGB uint8 array of shape (H, W, 3), got {got}; "
            "everymask.read_photo makes one from files and other arrays"
        )
    if 0 in photo.shape:
        raise PictureError(f"a photo must have pixels, got shape {photo.shape}")
    return photo


def checked_valid(valid: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Where a photo has data, if it fits: bool [H, W]. Raises :class:`PictureError` otherwise."""
    if not isinstance(valid, np.ndarray) or valid.dtype != bool or valid.shape != photo.shape[:2]:
        got = (
            f"{valid.dtype} of shape {valid.shape}" if isinstance(valid, np.ndarray) else type(valid).__name__
        )
        raise PictureError(f"valid must be bool of the photo's shape {photo.shape[:2]}, got {got}")
    return valid


def without_nodata(masks: Sequence[Mask], valid: np.ndarray) -> list[Mask]:
    """Masks without the pixels that have no data; those that lie on such pixels for the most part go."""
    found = []
    for mask in masks:
        known = mask.crop() & valid[mask.extent]
        area = int(known.sum())
        if not _mostly_known(area, mask.area):
            continue
        rows, columns = mask.extent
        corner = columns.start, rows.start
        runs = rle.encode_at(np.ascontiguousarray(known.T), corner, mask.size)
        found.append(mask if area == mask.area else mask.replace(rle=runs))
    return found


def _mostly_known(known: int, area: int) -> bool:
    return 2 * known >= area and known > 0


def dropped_on_nodata(done: Finished, valid: np.ndarray) -> Finished:
    """Encoded candidates but for those that :func:`without_nodata` drops."""
    dropped, stays = dict(done.dropped), []
    for place, candidate in enumerate(done.found):
        mask = as_mask(candidate)
        known = int((mask.crop() & valid[mask.extent]).sum())
        if _mostly_known(known, mask.area):
            stays.append(place)
        else:
            number = int(done.numbers[place])
            dropped[number] = Dropped("nodata", number, known / max(1, mask.area))
    return Finished(picked(done.found, np.array(stays, np.int64)), done.numbers[stays], dropped)


def picked(found: Sequence[Candidate], indices: np.ndarray) -> list[Candidate]:
    """The candidates with these numbers."""
    return [found[i] for i in indices.tolist()]


@dataclass(frozen=True)
class Finished:
    """Encoded candidates after the steps that look at whole masks."""

    found: Sequence[Candidate]
    numbers: np.ndarray  # int64: which of those handed in each one is
    dropped: Mapping[int, Dropped]  # the others of those handed in


@dataclass(frozen=True)
class Dropped:
    """Why a finished mask is none of the result."""

    rule: str  # the option, or nodata
    by: int  # number of the candidate that suppressed it, among those handed in
    iou: float  # of the two: of their boxes, with mask_nms_thresh of their pixels; nodata: the share known


def looks_at_pixels(options: GeneratorOptions, family: str) -> bool:
    """Whether :func:`finished` needs encoded candidates."""
    return options.mask_nms_thresh < 1 or (options.min_mask_region_area > 0 and family == "sam")


def finished(found: Sequence[Candidate], options: GeneratorOptions, family: str) -> Finished:
    """Small regions taken out, where that is the family's way to do it, then suppression by pixels."""
    dropped: dict[int, Dropped] = {}
    numbers = np.arange(len(found))
    if options.min_mask_region_area > 0 and family == "sam":
        found, kept = without_small_regions(found, options)
        for number in np.setdiff1d(numbers, kept).tolist():
            shared = overlaps(found[number].box_xyxy, boxes_of(picked(found, kept)))
            best = int(shared.argmax())
            dropped[number] = Dropped("min_mask_region_area", int(kept[best]), float(shared[best]))
        found, numbers = picked(found, kept), kept
    if options.mask_nms_thresh < 1:
        runs = [one.runs for one in found if one.runs is not None]
        result = suppress_pixels(runs, options.mask_nms_thresh)
        for number, (by, iou) in result.by.items():
            dropped[int(numbers[number])] = Dropped("mask_nms_thresh", int(numbers[by]), iou)
        found, numbers = picked(found, result.kept), numbers[result.kept]
    return Finished(found, numbers, dropped)


def without_small_regions(
    found: Sequence[Candidate], options: GeneratorOptions
) -> tuple[list[Candidate], np.ndarray]:
    """Holes filled and islands dropped at full size, and which of them suppression leaves then: SAM's way."""
    cleaned, changed = [], []
    for candidate in found:
        assert candidate.runs is not None
        result = remove_small_regions(rle.decode(candidate.runs), options.min_mask_region_area)
        if result.changed:
            box = np.array(box_of_mask(result.mask))
            candidate = replace(candidate, runs=rle.encode(result.mask), box_xyxy=box)
        cleaned.append(candidate)
        changed.append(result.changed)
    threshold = max(options.box_nms_thresh, options.crop_nms_thresh)
    return cleaned, filters.after_cleaning(boxes_of(cleaned), np.array(changed, bool), threshold)


def as_mask(candidate: Candidate) -> Mask:
    """An encoded and measured candidate as a mask."""
    assert candidate.runs is not None
    assert candidate.stability is not None
    return Mask(
        candidate.runs,
        predicted_iou=float(candidate.iou),
        stability_score=float(candidate.stability),
        point_coords=[candidate.point_xy.tolist()],
        crop_box=candidate.crop.xywh,
        bbox=xyxy_to_xywh(candidate.box_xyxy).tolist(),
        attributes=None if candidate.crop.rendition is None else {"rendition": candidate.crop.rendition},
    )
