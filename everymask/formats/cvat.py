"""CVAT for images 1.1 (XML): one file for the run; each mask row-major runs within its box.

``rle`` starts with a run of background (it may be 0), ``left top width height`` is the box in pixels.
Masks stay in their order; ``z_order`` counts them by falling area, so that a small mask lies over a large one
and can be clicked. ``meta`` lists the labels, which other readers of the format (datumaro) ask for.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .losses import Losses
from .raster import fill_rings
from .record import PhotoMasks, WriteOptions, build_mask, category_of, label_of, pasted, pixel_box_xywh
from .text import read_text


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """All photos in one XML file, written as they come."""
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(f"  <meta>\n    <task>\n{labels_element(options.categories)}    </task>\n  </meta>\n")
        for number, photo in enumerate(photos):
            height, width = photo.photo_hw
            name = quoteattr(photo.photo)
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
        f"        <label><name>{escape(name)}</name><type>mask</type><attributes></attributes></label>\n"
        for name in names
    )
    return f"      <labels>\n{each}      </labels>\n"


def _z_orders(masks: MaskSet) -> list[int]:
    """For each mask its place by falling area."""
    falling = sorted(range(len(masks)), key=lambda index: -masks[index].area)
    return np.argsort(falling).tolist()


def _element(mask: Mask, z_order: int) -> str:
    left, top, width, height = pixel_box_xywh(mask)
    runs = box_runs(mask.crop())
    return (
        f'    <mask label={quoteattr(category_of(mask))} source="auto" occluded="0" '
        f'rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" width="{width}" height="{height}" '
        f'z_order="{z_order}"></mask>\n'
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


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of every photo in the file. Polygons and boxes are read too; points and lines are refused."""
    try:
        root = ElementTree.fromstring(_without_entities(read_text(path), path))
    except ElementTree.ParseError as error:
        raise FormatError(f"{path} is not XML: {error}") from error
    if root.tag != "annotations":
        raise FormatError(f"{path} must have <annotations> at its root, got <{root.tag}>")
    return [_photo(image, path) for image in root.iter("image")]


def _without_entities(text: str, path: Path) -> str:
    """Refuse entity declarations: nested ones blow up a parser, and CVAT writes none."""
    if "<!ENTITY" in text:
        raise FormatError(f"{path} declares XML entities, which mask files do not need; it was not read")
    return text


def _photo(image: ElementTree.Element, path: Path) -> PhotoMasks:
    name = image.get("name", "")
    where = f"image {name!r} of {path}"
    size = (_number(image, "height", where), _number(image, "width", where))
    masks = [_mask(shape, size, where) for shape in image if shape.tag != "tag"]
    return PhotoMasks(name, MaskSet(masks, photo_hw=size))


def _mask(shape: ElementTree.Element, photo_hw: tuple[int, int], where: str) -> Mask:
    return build_mask(_pixels(shape, photo_hw, where), {}, label_of(shape.get("label")), where)


def _pixels(shape: ElementTree.Element, photo_hw: tuple[int, int], where: str) -> np.ndarray:
    if shape.tag == "mask":
        return _from_runs(shape, photo_hw, where)
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in shape.get("points", "").split(";")]
        return fill_rings([np.array(pairs, dtype=float)], photo_hw)
    if shape.tag == "box":
        x0, y0, x1, y1 = (float(shape.get(key, "nan")) for key in ("xtl", "ytl", "xbr", "ybr"))
        return fill_rings([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])], photo_hw)
    raise FormatError(f"{where} has a <{shape.tag}>; only masks, polygons and boxes have pixels to read")


def _from_runs(shape: ElementTree.Element, photo_hw: tuple[int, int], where: str) -> np.ndarray:
    left, top, width, height = (_number(shape, key, where) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.get("rle", "").split(",")]
    if sum(runs) != width * height:
        raise FormatError(f"a mask of {where} has runs of {sum(runs)} pixels in a box of {width} x {height}")
    return pasted(pixels_of_runs(runs, (height, width)), left, top, photo_hw, f"a mask of {where}")


def _number(element: ElementTree.Element, key: str, where: str) -> int:
    try:
        return int(float(element.get(key, "")))
    except ValueError as error:
        raise FormatError(f"{key!r} of {where} must be a number, got {element.get(key)!r}") from error
