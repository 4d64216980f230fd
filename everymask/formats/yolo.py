"""YOLO segmentation: ``labels/<stem>.txt``, a row ``class x y x y ...`` a mask, as shares of the size.

A row is one ring: holes and further parts cannot be said. ``rings="bridge"`` joins them to the ring by a
seam of width zero, which costs a few pixels along the seam; ``rings="largest"`` keeps the largest part and
fills its holes. Either way the pixels that changed are counted, by filling the ring as readers do.

The corners are pixel indices plus a quarter: the trainers' loaders cut off the fraction or round it, and
both give the index back, so that cv2.fillPoly (which counts the outline as inside) gives the same pixels.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .losses import Kind, Loss, Losses
from .record import SIZE_HINT, PhotoMasks, WriteOptions, build_mask, category_of, label_of
from .text import read_text

INSIDE_PIXEL = 0.25
NAMES_FILE = "data.yaml"


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """The rows of one photo. Class numbers are places in ``options.categories``."""
    height, width = photo.photo_hw
    rows, losses = [], Losses()
    for mask in photo.masks:
        if mask.area == 0:
            continue
        ring, loss = ring_of(mask.segmentation, options.rings)
        shares = (ring + INSIDE_PIXEL) / (width, height)
        numbers = " ".join(f"{share:.7f}" for share in shares.ravel())
        rows.append(f"{options.categories.index(category_of(mask))} {numbers}\n")
        losses += loss
    path.write_text("".join(rows), "utf-8")
    return losses


def write_names(path: Path, categories: tuple[str, ...]) -> None:
    """Write the ``data.yaml`` of a run: which class number is what. One with the same names is left alone.

    Raises :class:`FormatError` when there is one with other names: other label files go by it.
    """
    if path.exists():
        known = _parse_names(read_text(path))
        if known != dict(enumerate(categories)):
            raise FormatError(
                f"{path} already has the classes {', '.join(known.values())}, these masks have "
                f"{', '.join(categories)}; write to another folder"
            )
        return
    # Quoted, so that any name is valid YAML.
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in categories]
    names = "".join(f'  {number}: "{name}"\n' for number, name in enumerate(quoted))
    path.write_text(f"path: .\ntrain: images\nval: images\nnc: {len(categories)}\nnames:\n{names}", "utf-8")


def ring_of(pixels: np.ndarray, rings: str) -> tuple[np.ndarray, Losses]:
    """One ring for a mask [H, W], int [N, 2] of pixel indices (x, y), N >= 3, and what it does not say."""
    contours, hierarchy = cv2.findContours(pixels.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    all_rings = [contour[:, 0] for contour in contours]
    shells = [ring for ring, (_, _, _, parent) in zip(all_rings, hierarchy[0], strict=True) if parent < 0]
    largest = max(shells, key=lambda ring: cv2.contourArea(ring) + len(ring) / 1e6)
    ring = largest if rings == "largest" or len(all_rings) == 1 else _bridged(largest, all_rings)
    ring = np.concatenate([ring, *[ring[-1:]] * max(0, 3 - len(ring))])  # readers want three corners
    changed = int((fill(ring, pixels.shape) != pixels).sum())
    has_holes = len(shells) < len(all_rings)
    kind: Kind = "parts" if len(shells) > 1 else "holes"
    lossy = changed and (len(shells) > 1 or has_holes)
    detail = "seams" if rings == "bridge" else "largest part kept" if kind == "parts" else ""
    return ring, Losses((Loss(kind, 1, changed, detail),)) if lossy else Losses()


def _bridged(first: np.ndarray, rings: list[np.ndarray]) -> np.ndarray:
    """All rings as one: each next nearest ring is entered and left at its nearest corner."""
    joined = first
    rest = [ring for ring in rings if ring is not first]
    while rest:
        near = [_nearest(joined, ring) for ring in rest]
        pick = min(range(len(rest)), key=lambda index: near[index][0])
        _, at, entry = near[pick]
        loop = np.roll(rest.pop(pick), -entry, axis=0)
        joined = np.concatenate([joined[: at + 1], loop, loop[:1], joined[at:]])
    return joined


def _nearest(ring: np.ndarray, other: np.ndarray) -> tuple[int, int, int]:
    """The squared distance of the nearest two corners of two rings, and their places."""
    best = (np.iinfo(np.int64).max, 0, 0)
    for start in range(0, len(ring), 512):  # in slices: rings of many thousand corners would need gigabytes
        part = ring[start : start + 512].astype(np.int64)
        distances = ((part[:, None] - other[None]) ** 2).sum(axis=-1)  # [n, m]
        flat = int(distances.argmin())
        row, column = divmod(flat, len(other))
        best = min(best, (int(distances[row, column]), start + row, column))
    return best


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
    return [PhotoMasks(path.stem, MaskSet(masks, photo_hw=photo_hw))]


def _mask(line: str, photo_hw: tuple[int, int], names: dict[int, str], where: str) -> Mask:
    height, width = photo_hw
    try:
        number, *shares = (float(word) for word in line.split())
    except ValueError as error:
        raise FormatError(f"{where} must be a class number and coordinates, got {line[:40]!r}") from error
    if len(shares) < 6 or len(shares) % 2:
        raise FormatError(f"{where} must have at least 3 pairs of coordinates, got {len(shares)} numbers")
    ring = np.array(shares).reshape(-1, 2) * (width, height)
    return build_mask(fill(ring, photo_hw), {}, label_of(names.get(int(number), str(int(number)))))


def _names(path: Path) -> dict[int, str]:
    """The class names of the ``data.yaml`` beside or above a label file, as :func:`write_names` writes it."""
    for folder in (path.parent, path.parent.parent):
        if (folder / NAMES_FILE).is_file():
            return _parse_names(read_text(folder / NAMES_FILE))
    return {0: "object"}


def _parse_names(text: str) -> dict[int, str]:
    """``names:`` of a data.yaml: a block of ``number: name``, a block of ``- name``, or ``[name, name]``.

    >>> _parse_names('nc: 2\\nnames:\\n  0: "a cat"\\n  1: dog\\n')
    {0: 'a cat', 1: 'dog'}
    """
    _, _, block = ("\n" + text).partition("\nnames:")
    first, _, rest = block.partition("\n")
    if first.strip().startswith("["):
        return {number: _bare(name) for number, name in enumerate(first.strip().strip("[]").split(","))}
    names: dict[int, str] = {}
    for line in rest.splitlines():
        words = line.strip()
        if words.startswith("- "):
            names[len(names)] = _bare(words[2:])
        elif line.startswith(" ") and words.partition(":")[0].isdigit():
            names[int(words.partition(":")[0])] = _bare(words.partition(":")[2])
        elif words:
            break
    return names


def _bare(name: str) -> str:
    name = name.strip()
    if len(name) >= 2 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1]
    return name.replace('\\"', '"').replace("\\\\", "\\")
