"""From outlines to pixels, by one stated rule: a pixel belongs to a ring if its centre lies inside.

Pixel (column x, row y) covers [x, x+1] x [y, y+1], its centre is at (x + 0.5, y + 0.5). A centre exactly on
an edge belongs to the side with the larger x. Several rings together fill by the even-odd rule, so that a
ring within a ring is a hole.

Whatever a file calls an outline comes in through :func:`checked_ring`: nothing behind it meets a NaN, a
number that no photo has, or an outline that would not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import FormatError
from ..masks.rle import Rle, canonical, encode_at

PHOTO_LIMIT = 2**32
"""Pixels of the largest photo that a file may speak of: 65,536 x 65,536."""
OUTLINE_LIMIT = 5_000_000
"""Pixels along the longest outline: filling needs memory for each of them."""
STRIP = 2**26
"""Pixels that are filled at once."""


def checked_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Height and width of a photo as a file gives them. Raises :class:`FormatError` for what no photo has."""
    sides = []
    for name, value in (("height", height), ("width", width)):
        whole = _whole(value)
        if whole is None or whole < 1:
            raise FormatError(f"the {name} of {where} must be a whole number of pixels, got {value!r}")
        sides.append(whole)
    if sides[0] * sides[1] > PHOTO_LIMIT:
        raise FormatError(
            f"{where} claims a photo of {sides[1]} x {sides[0]} pixels; at most {PHOTO_LIMIT:,} are read"
        )
    return sides[0], sides[1]


def _whole(value: Any) -> int | None:
    """``value`` as an int where it is a whole number, also as text or 4.0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.integer | np.floating):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if np.isfinite(number) and number == int(number) else None


def checked_ring(points: Any, photo_hw: tuple[int, int], where: str, fewest: int = 3) -> np.ndarray:
    """A ring as float64 [N, 2] of (x, y) in pixels, from pairs or from x, y, x, y, ...

    Raises :class:`FormatError` where it is not numbers, has fewer than ``fewest`` corners, or reaches
    further beyond the photo than the photo is long: a scale or a unit is wrong then.
    """
    ring = checked_pairs(points, where, fewest)
    height, width = photo_hw
    reach = max(height, width)
    wrong = ring[(ring < -reach).any(axis=1) | (ring > np.array([width, height]) + reach).any(axis=1)]
    if len(wrong):
        raise FormatError(
            f"an outline of {where} goes to ({wrong[0, 0]:g}, {wrong[0, 1]:g}), far beyond the photo of "
            f"{width} x {height} pixels; is it in another unit, or of another photo?"
        )
    if np.abs(ring - np.roll(ring, -1, axis=0)).max(axis=1).sum() > OUTLINE_LIMIT:
        raise FormatError(f"an outline of {where} is longer than {OUTLINE_LIMIT:,} pixels")
    return ring


def checked_pairs(points: Any, where: str, fewest: int = 3) -> np.ndarray:
    """Pairs of finite numbers, float64 [N, 2], in whatever unit; otherwise as :func:`checked_ring`."""
    try:
        ring = np.asarray(points, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise FormatError(f"an outline of {where} must be pairs of numbers, got {_brief(points)}") from None
    if ring.ndim == 1 and ring.size % 2 == 0:
        ring = ring.reshape(-1, 2)
    if ring.ndim != 2 or ring.shape[1] < 2 or len(ring) < fewest:
        raise FormatError(
            f"an outline of {where} must be at least {fewest} pairs of numbers, got {_brief(points)}"
        )
    ring = ring[:, :2]
    if not np.isfinite(ring).all():
        raise FormatError(f"an outline of {where} has a coordinate that is NaN or infinite")
    return ring


def rle_of_rings(rings_xy: Sequence[np.ndarray], photo_hw: tuple[int, int]) -> Rle:
    """:func:`fill_rings` as runs: memory grows with the rings' box, not with the photo.

    >>> rle_of_rings([np.array([[1, 0], [3, 0], [3, 1], [1, 1]])], (2, 4)).counts.tolist()
    [2, 1, 1, 1, 3]
    """
    strips = list(_strips(rings_xy, photo_hw))
    if len(strips) == 1:
        return strips[0]
    # The strips lie side by side, and runs go down columns: one strip's runs follow the other's.
    ends = [np.cumsum(strip.counts) for strip in strips]
    bounds = np.concatenate(
        [[0], *(each[: len(each) // 2 * 2] for each in ends), [photo_hw[0] * photo_hw[1]]]
    )
    return canonical(Rle(photo_hw, np.diff(bounds).astype(np.int64)))


def _strips(rings_xy: Sequence[np.ndarray], photo_hw: tuple[int, int]) -> Iterator[Rle]:
    """The rings' pixels in strips of columns, each as runs of the whole photo."""
    height, width = photo_hw
    corners = np.concatenate([np.asarray(ring, np.float64) for ring in rings_xy] or [np.zeros((1, 2))])
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), (left, top), (width, height)).astype(int)
    step = max(1, STRIP // max(1, bottom - top))
    for start in range(left, max(right, left + 1), step):
        stop = min(start + step, right)
        shifted = [np.asarray(ring, np.float64) - (start, top) for ring in rings_xy]
        pixels = fill_rings(shifted, (bottom - top, stop - start))
        yield encode_at(np.ascontiguousarray(pixels.T), (start, top), photo_hw)


def fill_rings(rings_xy: Sequence[np.ndarray], photo_hw: tuple[int, int]) -> np.ndarray:
    """The pixels, bool [H, W], within some rings, each [N, 2] of (x, y) in pixels, closed or not.

    >>> fill_rings([np.array([[1, 0], [3, 0], [3, 1], [1, 1]])], (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = photo_hw
    # Each edge flips every pixel to its right, row by row; an odd number of flips is inside.
    flips = np.zeros((height, width + 1), dtype=bool)
    for ring in rings_xy:
        rows, columns = _crossings(np.asarray(ring, dtype=np.float64), height, width)
        np.logical_xor.at(flips, (rows, columns), True)
    return np.logical_xor.accumulate(flips, axis=1)[:, :width]


def _crossings(ring: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For each edge and each pixel row whose centre line it crosses: the row, the first column to flip."""
    start, end = ring, np.roll(ring, -1, axis=0)
    upper = np.where((start[:, 1] <= end[:, 1])[:, None], start, end)
    lower = np.where((start[:, 1] <= end[:, 1])[:, None], end, start)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)  # exclusive
    counts = last - first
    edges = np.repeat(np.arange(len(ring)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    run = (lower[edges, 0] - upper[edges, 0]) / (lower[edges, 1] - upper[edges, 1])
    x = upper[edges, 0] + (rows + 0.5 - upper[edges, 1]) * run
    return rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)


def turned(ring: np.ndarray, degrees: float, centre_xy: tuple[float, float]) -> np.ndarray:
    """A ring turned clockwise on the screen about a point.

    >>> turned(np.array([[1.0, 0.0]]), 90, (0.0, 0.0)).round(6).tolist()
    [[0.0, 1.0]]
    """
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (ring - centre_xy) @ matrix + centre_xy


def box_ring(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """The four corners of a box."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def ellipse_ring(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    """An ellipse as a ring of corners a pixel or less apart."""
    corners = int(np.clip(2 * np.pi * max(abs(rx), abs(ry), 1), 16, 10_000))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)])


def _brief(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
