"""YOLO segmentation: ``labels/<stem>.txt``, a row ``class x y x y ...`` a mask, as shares of the size.

A row is one ring: holes and further parts cannot be said. ``rings="bridge"`` joins them to the ring by a
seam of width zero, which costs a few pixels along the seam; ``rings="largest"`` keeps the largest part and
fills its holes. Either way the pixels that changed are counted, by filling the ring as readers do.

The corners are pixel indices plus a quarter: the trainers' loaders cut off the fraction or round it, and
both give the index back, so that cv2.fillPoly (which counts the outline as inside) gives the same pixels.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import FormatError, one_line
from ..masks.rle import Rle, encode_at
from ..maskset import Mask, MaskSet
from .classes import Classes, checked_number, distinct, for_yolo
from .losses import Kind, Loss, Losses
from .raster import checked_ring
from .record import (
    SIZE_HINT,
    UNLABELLED,
    PhotoMasks,
    WriteOptions,
    build_mask,
    category_of,
    changed_classes,
    label_of,
)
from .seams import bridged
from .text import read_text, want

INSIDE_PIXEL = 0.25
NAMES_FILE = "data.yaml"
NAMES_FILES = (NAMES_FILE, "dataset.yaml", "data.yml")
OUR_PLACES = ("images", "images/train", "images/val")
SLACK = 0.01
"""How far beyond the photo rounding may put a corner; trainers allow as much."""


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """The rows of one photo. Class numbers are those of ``classes.for_yolo``."""
    height, width = photo.photo_hw
    numbers = {name: number for number, name in enumerate(for_yolo(options.categories))}
    foreign = photo.classes.numbering != "yolo"
    rows, losses = [], changed_classes(photo, numbers, "YOLO counts from 0, without gaps" if foreign else "")
    for mask in photo.masks:
        ring, loss = ring_of(mask.segmentation, options.rings)
        shares = (ring + INSIDE_PIXEL) / (width, height)
        corners = " ".join(f"{share:.7f}" for share in shares.ravel())
        rows.append(f"{numbers[category_of(mask)]} {corners}\n")
        losses += loss
    path.write_text("".join(rows), "utf-8")
    return losses


def write_names(path: Path, names: Sequence[str], train: str = "images", val: str = "images") -> None:
    """Write the ``data.yaml`` of a run: which class number is what, and where the pictures lie.

    One with the same names is left alone, but for where the pictures lie if this wrote it.
    Raises :class:`FormatError` when there is one with other names:
    other label files go by it.
    """
    import yaml

    if path.exists():
        known = read_names(path)
        if known != dict(enumerate(names)):
            raise FormatError(
                f"{path} already has the classes {', '.join(known.values())}, these masks have "
                f"{', '.join(names)}; write to another folder"
            )
        places = _content(path)
        if (places.get("train"), places.get("val")) == (train, val) or not _is_ours(places):
            return
    # Without a 'path', trainers look for the pictures beside this file, from wherever they are started.
    content = {"train": train, "val": val, "nc": len(names), "names": dict(enumerate(names))}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")


def _is_ours(content: dict[str, Any]) -> bool:
    return all(content.get(side) in OUR_PLACES for side in ("train", "val")) and "path" not in content


def read_pictures(path: Path) -> str | None:
    """Where the pictures to train on lie, as a ``data.yaml`` says it; None where there is no file."""
    if not path.exists():
        return None
    train = _content(path).get("train")
    return train if isinstance(train, str) else ""


def ring_of(pixels: np.ndarray, rings: str) -> tuple[np.ndarray, Losses]:
    """One ring for a mask [H, W], int [N, 2] of pixel indices (x, y), N >= 3, and what it does not say."""
    contours, hierarchy = cv2.findContours(pixels.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    all_rings = [contour[:, 0] for contour in contours]
    shells = [ring for ring, (_, _, _, parent) in zip(all_rings, hierarchy[0], strict=True) if parent < 0]
    largest = max(shells, key=lambda ring: cv2.contourArea(ring) + len(ring) / 1e6)
    ring = largest if rings == "largest" or len(all_rings) == 1 else bridged(largest, all_rings)
    ring = np.concatenate([ring, *[ring[-1:]] * max(0, 3 - len(ring))])  # readers want three corners
    changed = int((fill(ring, pixels.shape) != pixels).sum())
    has_holes = len(shells) < len(all_rings)
    kind: Kind = "parts" if len(shells) > 1 else "holes"
    lossy = changed and (len(shells) > 1 or has_holes)
    detail = "seams" if rings == "bridge" else "largest part kept" if kind == "parts" else ""
    return ring, Losses((Loss(kind, 1, changed, detail),)) if lossy else Losses()


def fill(ring: np.ndarray, photo_hw: tuple[int, ...]) -> np.ndarray:
    """The pixels, bool [H, W], that readers of the format make of a ring of pixel indices."""
    canvas = np.zeros(photo_hw, dtype=np.uint8)
    cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
    return canvas > 0


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of one photo. The file does not say the photo's size: ``photo_hw`` must."""
    if photo_hw is None:
        raise FormatError(f"{path} gives shares of width and height; say how large the photo is: {SIZE_HINT}")
    names = _names(path)
    lines = read_text(path).splitlines()
    masks = [
        _mask(line, photo_hw, names, f"line {n} of {path}") for n, line in enumerate(lines, 1) if line.strip()
    ]
    numbers = {name: number for number, name in names.items()}
    for mask in masks:
        name = category_of(mask)
        numbers.setdefault(name, int(name) if name.isdigit() else 0)
    return [PhotoMasks(path.stem, MaskSet(masks, photo_hw=photo_hw), classes=Classes(numbers, "yolo"))]


def _mask(line: str, photo_hw: tuple[int, int], names: dict[int, str], where: str) -> Mask:
    height, width = photo_hw
    try:
        number, *shares = (float(word) for word in line.split())
    except ValueError as error:
        raise FormatError(f"{where} must be a class number and coordinates, got {line[:40]!r}") from error
    if not number.is_integer() or number < 0:
        raise FormatError(f"{where} must begin with a class number, 0 or more, got {line.split()[0]!r}")
    checked_number(int(number), where)
    if len(shares) in (4, 5):
        raise FormatError(
            f"{where} is a box and no outline; boxes are prompts: everymask predict --box makes masks of them"
        )
    if len(shares) < 6 or len(shares) % 2:
        raise FormatError(f"{where} must have at least 3 pairs of coordinates, got {len(shares)} numbers")
    wrong = [share for share in shares if not -SLACK <= share <= 1 + SLACK]
    if wrong:
        raise FormatError(
            f"{where} must have coordinates from 0 to 1, shares of width and height, got {wrong[0]:g}"
        )
    ring = checked_ring(np.array(shares).reshape(-1, 2) * (width, height), photo_hw, where)
    return build_mask(_runs(ring, photo_hw), {}, label_of(names.get(int(number), str(int(number)))))


def _runs(ring: np.ndarray, photo_hw: tuple[int, int]) -> Rle:
    """:func:`fill` as runs: memory for the ring's box only."""
    corners = ring.astype(np.int32)
    left, top = np.clip(corners.min(axis=0), 0, None)
    right, bottom = np.clip(corners.max(axis=0) + 1, (left, top), photo_hw[::-1])
    pixels = fill(corners - (left, top), (max(0, bottom - top), max(0, right - left)))
    return encode_at(np.ascontiguousarray(pixels.T), (int(left), int(top)), photo_hw)


def _names(path: Path) -> dict[int, str]:
    """The class names of the ``data.yaml`` beside or above a label file; class 0 is "object" without one."""
    folder = path.parent.absolute()
    for place in (folder, *folder.parents[:4]):  # above labels/train/..., too
        for name in NAMES_FILES:
            if (place / name).is_file():
                return read_names(place / name)
    return {0: UNLABELLED}


def read_names(path: Path) -> dict[int, str]:
    """The class names by number in a ``data.yaml``: ``names:`` a list, or a mapping from number to name."""
    names, where = _content(path).get("names"), f"'names' of {path}"
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(str(number).isdecimal() for number in names):
        raise FormatError(
            f"{where} must be a list of class names or a mapping from number to name, got {_brief(names)}"
        )
    for number, name in names.items():
        checked_number(int(number), f"each name in {where}")
        if isinstance(name, (dict, list)):
            raise FormatError(f"{where} must have a name for class {number}, got {_brief(name)}")
    return distinct((int(number), str(name)) for number, name in names.items())


def _brief(value: Any) -> str:
    """What a file holds, in a few words; it may contain itself a million times."""
    return repr(reprlib.repr(value)[:60])


def _content(path: Path) -> dict[str, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands twice, of which the library takes the last one."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(keys)) < len(keys):
                twice = next(key for key in keys if keys.count(key) > 1)
                raise yaml.YAMLError(f"{twice!r} stands twice")
            return super().construct_mapping(node, deep)

    try:
        content = yaml.load(read_text(path), Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"{path} is not YAML: {one_line(error)}") from error
    return want(content, dict, str(path))
