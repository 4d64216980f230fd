"""CVAT for images 1.1 (XML): one file for the run; each mask row-major runs within its box.

``rle`` starts with a run of background (it may be 0), ``left top width height`` is the box in pixels.
Masks stay in their order; ``z_order`` counts them by falling area, so that a small mask lies over a large one
and can be clicked. ``meta`` lists the labels, which other readers of the format (datumaro) ask for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ..errors import FormatError, one_line
from ..masks.rle import Rle, encode_at
from ..maskset import Mask, MaskSet
from .losses import Loss, Losses
from .raster import box_ring, checked_ring, checked_size, ellipse_ring, rle_of_rings, turned
from .record import (
    PhotoMasks,
    SizeOf,
    WriteOptions,
    build_mask,
    category_of,
    check_within,
    label_of,
    pixel_box_xywh,
    size_said,
)
from .text import read_text

FLAGS = ("occluded", "group_id")
"""Attributes that have a place of their own, whatever their type."""
NO = (None, False, 0, "0", "")
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """All photos in one XML file, written as they come."""
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(
            f"  <meta>\n    <task>\n{labels_element(options.categories.numbers)}    </task>\n  </meta>\n"
        )
        for number, photo in enumerate(photos):
            height, width = photo.photo_hw
            name = _quoted(photo.photo)
            file.write(f'  <image id="{number}" name={name} width="{width}" height="{height}">\n')
            orders = _z_orders(photo.masks)
            file.writelines(
                _element(mask, z) for mask, z in zip(photo.masks, orders, strict=True) if mask.area
            )
            file.write("  </image>\n")
        file.write("</annotations>\n")
    return Losses()


def labels_element(names: Iterable[str]) -> str:
    """The labels of a task, each allowed to be a mask."""
    each = "".join(
        f"        <label><name>{_text(name)}</name><type>mask</type><attributes></attributes></label>\n"
        for name in names
    )
    return f"      <labels>\n{each}      </labels>\n"


def _text(value: str) -> str:
    """Text between tags. Raises FormatError for characters that XML has no way to write."""
    if found := NOT_IN_XML.search(value):
        raise FormatError(
            f"{value!r} has the character {found[0]!r}, which XML cannot hold; rename it, or choose another "
            "format"
        )
    return escape(value)


def _quoted(value: str) -> str:
    """Text as an attribute of a tag, in quotes."""
    _text(value)
    return quoteattr(value)


def _z_orders(masks: MaskSet) -> list[int]:
    """For each mask its place by falling area."""
    falling = sorted(range(len(masks)), key=lambda index: -masks[index].area)
    return np.argsort(falling).tolist()


def _element(mask: Mask, z_order: int) -> str:
    left, top, width, height = pixel_box_xywh(mask)
    runs = box_runs(mask.crop())
    known = dict(mask.attributes)
    occluded = int(known.pop("occluded", None) not in NO)
    group = "" if (number := known.pop("group_id", None)) is None else f"group_id={_quoted(str(number))} "
    inside = "".join(
        f"      <attribute name={_quoted(name)}>{_text(value)}</attribute>\n"
        for name, value in known.items()
        if isinstance(value, str)
    )
    return (
        f'    <mask label={_quoted(category_of(mask))} source="auto" occluded="{occluded}" {group}'
        f'rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" width="{width}" height="{height}" '
        f'z_order="{z_order}">{inside and chr(10)}{inside}{"    " if inside else ""}</mask>\n'
    )


def box_runs(pixels: np.ndarray) -> list[int]:
    """Row-major run lengths, background first.

    >>> box_runs(np.array([[1, 1], [0, 1]]))
    [0, 2, 1, 1]
    """
    flat = (np.asarray(pixels).ravel() != 0).astype(np.int8)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()


def pixels_of_runs(runs: list[int], box_hw: tuple[int, int]) -> np.ndarray:
    """The inverse of :func:`box_runs`, bool [h, w].

    >>> pixels_of_runs([0, 2, 1, 1], (2, 2)).astype(int).tolist()
    [[1, 1], [0, 1]]
    """
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(box_hw)


def read(path: Path, photo_hw: tuple[int, int] | SizeOf | None = None) -> list[PhotoMasks]:
    """The masks of every photo in the file, of masks, polygons, boxes and ellipses; others are refused."""
    try:
        root = ElementTree.fromstring(_without_entities(read_text(path), path))
    except (ElementTree.ParseError, RecursionError, ValueError) as error:
        raise FormatError(f"{path} is not XML: {one_line(error)}") from error
    if root.tag != "annotations":
        raise FormatError(f"{path} must have <annotations> at its root, got <{root.tag}>")
    images = list(root.iter("image"))
    if not images and root.find("track") is not None:
        raise FormatError(
            f"{path} is in the format CVAT for video, whose tracks have no photos; "
            "export the task as 'CVAT for images 1.1'"
        )
    return [_photo(image, path, photo_hw) for image in images]


def _without_entities(text: str, path: Path) -> str:
    """Refuse entity declarations: nested ones blow up a parser, and CVAT writes none."""
    if "<!ENTITY" in text:
        raise FormatError(f"{path} declares XML entities, which mask files do not need; it was not read")
    return text


def _photo(image: ElementTree.Element, path: Path, known: tuple[int, int] | SizeOf | None) -> PhotoMasks:
    name = image.get("name", "")
    where = f"image {name!r} of {path}"
    if image.get("height") is None and image.get("width") is None:
        size = size_said(known, name, where)
    else:
        size = checked_size(image.get("height"), image.get("width"), where)
    masks = [_mask(shape, size, where) for shape in image if shape.tag != "tag"]
    tags = [str(tag.get("label")) for tag in image.iter("tag")]
    told = Loss("fields", 0, detail=f"tags of the photo: {', '.join(tags)}")
    return PhotoMasks(name, MaskSet(masks, photo_hw=size), unread=Losses((told,)) if tags else Losses())


def _mask(shape: ElementTree.Element, photo_hw: tuple[int, int], where: str) -> Mask:
    known: dict[str, Any] = {str(each.get("name")): each.text or "" for each in shape.iter("attribute")}
    flags = {name: shape.get(name) for name in FLAGS}
    known |= {name: value for name, value in flags.items() if value not in (None, "0")}
    pixels = _pixels(shape, photo_hw, where)
    return build_mask(pixels, {}, label_of(shape.get("label")), where, known)


def _pixels(shape: ElementTree.Element, photo_hw: tuple[int, int], where: str) -> Rle:
    if shape.tag == "mask":
        return _from_runs(shape, photo_hw, where)
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in shape.get("points", "").split(";")]
        ring = checked_ring(pairs, photo_hw, f"a polygon in {where}")
    elif shape.tag == "box":
        x0, y0, x1, y1 = (_decimal(shape, key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        ring = turned(box_ring(x0, y0, x1, y1), _decimal(shape, "rotation", where, 0.0), middle)
    elif shape.tag == "ellipse":
        cx, cy, rx, ry = (_decimal(shape, key, where) for key in ("cx", "cy", "rx", "ry"))
        ring = turned(ellipse_ring(cx, cy, rx, ry), _decimal(shape, "rotation", where, 0.0), (cx, cy))
    else:
        raise FormatError(
            f"{where} has a <{shape.tag}>; only masks, polygons, boxes and ellipses have pixels to read"
        )
    return rle_of_rings([checked_ring(ring, photo_hw, f"a {shape.tag} in {where}")], photo_hw)


def _from_runs(shape: ElementTree.Element, photo_hw: tuple[int, int], where: str) -> Rle:
    left, top, width, height = (_number(shape, key, where) for key in ("left", "top", "width", "height"))
    try:
        runs = [int(run) for run in shape.get("rle", "").split(",")]
    except ValueError as error:
        raise FormatError(f"a mask of {where} must have run lengths in 'rle': {error}") from error
    if min(runs) < 0:
        raise FormatError(f"a mask of {where} has a run of {min(runs)} pixels; run lengths are 0 or more")
    if sum(runs) != width * height:
        raise FormatError(f"a mask of {where} has runs of {sum(runs)} pixels in a box of {width} x {height}")
    check_within((height, width), left, top, photo_hw, f"a mask of {where}")
    return encode_at(np.ascontiguousarray(pixels_of_runs(runs, (height, width)).T), (left, top), photo_hw)


def _number(element: ElementTree.Element, key: str, where: str) -> int:
    return int(_decimal(element, key, where))


def _decimal(element: ElementTree.Element, key: str, where: str, absent: float | None = None) -> float:
    text = element.get(key)
    if text is None and absent is not None:
        return absent
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FormatError(f"{key!r} of a <{element.tag}> in {where} must be a number, got {text!r}")
    return value
