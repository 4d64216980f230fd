"""Run-length encoding of masks, the column-major one of COCO.

A mask is read column by column; ``counts`` are the lengths of its runs, background first (so the first
count is 0 where the top left pixel belongs to the mask). COCO writes the counts as a short string of
printable bytes; :func:`pack` and :func:`unpack` speak it, byte for byte as pycocotools does.

Letters used in shapes: H x W the photo, R runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from everymask.errors import InputError


@dataclass(frozen=True, eq=False)
class Rle:
    """One mask as run lengths: made by :func:`encode` or :func:`from_coco`, compared by :meth:`same_as`."""

    size: tuple[int, int]  # (H, W) in pixels
    counts: np.ndarray  # int64 [R], background and mask in turn; their sum is H * W

    @property
    def area(self) -> int:
        """How many pixels belong to the mask."""
        return int(self.counts[1::2].sum())

    def same_as(self, other: Rle) -> bool:
        """Whether both describe the same pixels of the same size of photo."""
        return self.size == other.size and np.array_equal(self.counts, other.counts)


def encode(mask: np.ndarray) -> Rle:
    """The runs of a boolean mask [H, W].

    >>> encode(np.array([[False, True], [False, True]])).counts.tolist()
    [2, 2]
    """
    if mask.ndim != 2:
        raise InputError(f"a mask must have shape (H, W), got {mask.shape}; encode masks one by one")
    return encode_columns(_transposed(mask))


def encode_columns(mask_wh: np.ndarray) -> Rle:
    """As :func:`encode`, of the transposed mask: bool [W, H], contiguous: its runs lie in memory order."""
    width, height = mask_wh.shape
    flat = mask_wh.reshape(-1)
    if flat.size == 0:
        return Rle((height, width), np.zeros(0, np.int64))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    bounds = np.empty(len(changes) + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, changes + 1, flat.size
    counts = np.diff(bounds)
    return Rle((height, width), np.concatenate([[0], counts]) if flat[0] else counts)


def encode_at(mask_wh: np.ndarray, offset_xy: tuple[int, int], photo_hw: tuple[int, int]) -> Rle:
    """The runs of a mask in a larger photo, background around it.

    ``mask_wh`` bool [w, h] holds its columns, the first pixel lies at ``offset_xy``.

    >>> encode_at(np.array([[True]]), (1, 0), (2, 2)).counts.tolist()
    [2, 1, 1]
    """
    (x0, y0), (width, height), (photo_height, photo_width) = offset_xy, mask_wh.shape, photo_hw
    if photo_height * photo_width == 0:
        return Rle(photo_hw, np.zeros(0, np.int64))
    columns = np.zeros((width, height + 1), dtype=bool)  # a background pixel below each column ends its runs
    columns[:, :height] = mask_wh
    flat = columns.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[:1].any():
        changes = np.concatenate([[0], changes])
    x, y = np.divmod(changes, height + 1)
    bounds = np.empty(len(changes) + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, (x + x0) * photo_height + y + y0, photo_height * photo_width
    return canonical(Rle(photo_hw, np.diff(bounds)))


def decode(rle: Rle) -> np.ndarray:
    """The mask, bool [H, W].

    >>> decode(Rle((2, 2), np.array([2, 2]))).tolist()
    [[False, True], [False, True]]
    """
    height, width = rle.size
    mask_wh = np.zeros(height * width, dtype=bool)
    ends = np.cumsum(rle.counts)
    # A fill per run is a memset: much faster than np.repeat for the few long runs that masks have.
    for start, end in zip(ends[0::2].tolist(), ends[1::2].tolist(), strict=False):
        mask_wh[start:end] = True
    return mask_wh.reshape(width, height).T


def decode_box(rle: Rle, box_xyxy_px: Sequence[int]) -> np.ndarray:
    """The part of a mask inside a box whose maximum edges are exclusive, bool [y1 - y0, x1 - x0].

    Work and memory go by the box: cheap for a small object in a large photo.
    """
    x0, y0, x1, y1 = (int(v) for v in box_xyxy_px)
    width, height = x1 - x0, y1 - y0
    # Rows outside the box shrink to nothing: a run from one place to another stays one.
    column, row = np.divmod(np.cumsum(rle.counts) - x0 * rle.size[0], max(rle.size[0], 1))
    ends = np.clip(column * height + np.clip(row - y0, 0, height), 0, width * height)
    starts, stops = ends[0 : len(ends) - len(ends) % 2 : 2], ends[1::2]
    inside = stops > starts
    pixels = np.zeros(width * height, dtype=bool)
    for start, end in zip(starts[inside].tolist(), stops[inside].tolist(), strict=True):
        pixels[start:end] = True
    return pixels.reshape(width, height).T


def box_xyxy(rle: Rle) -> tuple[int, int, int, int]:
    """The box of a mask in pixels, maximum edges inclusive; (0, 0, 0, 0) for an empty mask.

    >>> box_xyxy(encode(np.array([[False, True], [False, True]])))
    (1, 0, 1, 1)
    """
    height = rle.size[0]
    ends = np.cumsum(rle.counts)
    starts, lasts = ends[0 : len(ends) - len(ends) % 2 : 2], ends[1::2] - 1
    full = lasts >= starts
    starts, lasts = starts[full], lasts[full]
    if len(starts) == 0:
        return 0, 0, 0, 0
    left, right = int(starts[0]) // height, int(lasts[-1]) // height
    # A run that goes over the end of a column touches the bottom edge and the top one.
    wraps = bool((starts // height != lasts // height).any())
    top = 0 if wraps else int((starts % height).min())
    bottom = height - 1 if wraps else int((lasts % height).max())
    return left, top, right, bottom


def union(masks: Sequence[Rle]) -> Rle:
    """All pixels of some masks of one photo; work and memory go by their runs.

    >>> union([Rle((1, 4), np.array([0, 1, 3])), Rle((1, 4), np.array([1, 2, 1]))]).counts.tolist()
    [0, 3, 1]
    """
    height, width = masks[0].size
    spans = np.concatenate([_spans(mask) for mask in masks], axis=1)
    starts, stops = spans[:, np.argsort(spans[0], kind="stable")]
    if len(starts) == 0:
        return canonical(Rle((height, width), np.array([height * width])))
    reached = np.maximum.accumulate(stops)
    first = np.concatenate([[True], starts[1:] > reached[:-1]])  # others go on where one before has been
    last = np.concatenate([first[1:], [True]])
    bounds = np.stack([starts[first], reached[last]], axis=1).reshape(-1)
    return canonical(Rle((height, width), np.diff(np.concatenate([[0], bounds, [height * width]]))))


def column_runs(rle: Rle) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mask's runs within columns, in order: column, first row, row after the last, each int64 [R].

    >>> [part.tolist() for part in column_runs(Rle((2, 2), np.array([1, 2, 1])))]
    [[0, 1], [1, 0], [2, 1]]
    """
    height = max(rle.size[0], 1)
    starts, stops = _spans(rle)
    first, last = starts // height, (stops - 1) // height
    each = last - first + 1  # columns that a run goes through
    before = np.cumsum(each) - each
    column = np.repeat(first - before, each) + np.arange(int(each.sum()))
    top, bottom = np.zeros(len(column), np.int64), np.full(len(column), height)
    top[before] = starts % height
    bottom[before + each - 1] = (stops - 1) % height + 1
    return column, top, bottom


def _spans(rle: Rle) -> np.ndarray:
    """Where the mask's runs begin and end in the photo read column by column, int64 [2, R]; none is empty."""
    ends = np.cumsum(rle.counts)
    starts, stops = ends[0 : len(ends) - len(ends) % 2 : 2], ends[1::2]
    full = stops > starts
    return np.stack([starts[full], stops[full]])


def pack(counts: np.ndarray) -> bytes:
    """Run lengths -> COCO's string: 5 bits a byte, lowest first, the difference from two runs before.

    >>> pack(np.array([2, 2]))
    b'22'
    """
    values = counts.astype(np.int64)
    deltas: np.ndarray = values.copy()
    deltas[3:] -= values[1:-2]  # from the fourth count on, as pycocotools does
    # The number of 5-bit groups that hold a signed value: |v| bits and the sign.
    magnitude = np.where(deltas < 0, ~deltas, deltas)
    groups = 1
    columns = []
    rest = deltas
    pending: np.ndarray = np.ones(len(deltas), dtype=bool)
    while pending.any():
        chunk = rest & 0x1F
        rest = rest >> 5
        more = ~(magnitude < (1 << (5 * groups - 1)))
        columns.append(np.where(pending, chunk + np.where(more, 0x20, 0) + 48, 0).astype(np.uint8))
        pending = pending & more
        groups += 1
    if not columns:
        return b""
    table = np.stack(columns, axis=1)
    return table[table != 0].tobytes()


def unpack(text: bytes | str) -> np.ndarray:
    """COCO's string -> run lengths int64 [R]; raises :class:`InputError` where the string is no such thing.

    >>> unpack(b"22").tolist()
    [2, 2]
    """
    raw = np.frombuffer(text.encode("ascii", "replace") if isinstance(text, str) else text, np.uint8)
    codes = raw.astype(np.int64) - 48
    if len(codes) == 0:
        return np.zeros(0, np.int64)
    last = (codes & 0x20) == 0
    if codes.min() < 0 or codes.max() > 0x3F or not last[-1]:
        raise InputError("counts is not a COCO run-length string (bytes '0' to 'o', the last one below 'P')")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    if shift.max() > 55:
        raise InputError("counts is not a COCO run-length string: a run longer than any photo")
    values = np.add.reduceat((codes & 0x1F) << shift, starts)
    negative = (codes[ends] & 0x10) != 0
    values -= np.where(negative, np.int64(1) << (5 * (ends - starts + 1)), 0)
    # Undo the differences: odd and even runs form two running sums; the first three are as they are.
    values[1::2] = np.cumsum(values[1::2])
    if len(values) > 2:
        values[2::2] = np.cumsum(values[2::2])
    return values


def to_coco(rle: Rle) -> dict[str, Any]:
    """``{"size": [H, W], "counts": str}``, what COCO's JSON holds.

    >>> to_coco(Rle((2, 2), np.array([2, 2])))
    {'size': [2, 2], 'counts': '22'}
    """
    return {"size": list(rle.size), "counts": pack(rle.counts).decode("ascii")}


def to_uncompressed(rle: Rle) -> dict[str, Any]:
    """``{"size": [H, W], "counts": [int, ...]}``.

    >>> to_uncompressed(Rle((2, 2), np.array([2, 2])))
    {'size': [2, 2], 'counts': [2, 2]}
    """
    return {"size": list(rle.size), "counts": rle.counts.tolist()}


def from_coco(segmentation: Mapping[str, Any]) -> Rle:
    """The mask of a COCO dict, its counts a string, bytes, or a list of run lengths.

    Raises :class:`InputError` where runs are negative or do not add up to the photo.
    """
    if not isinstance(segmentation, Mapping):
        is_array = hasattr(segmentation, "shape")
        raise InputError(
            f"an RLE must be a dict with 'size' [height, width] and 'counts', got {_brief(segmentation)}"
            + ("; of pixels [H, W] take Mask.from_segmentation(pixels)" if is_array else "")
        )
    try:
        height, width = (_count(v) for v in segmentation["size"])
        counts = segmentation["counts"]
        runs = (
            unpack(counts)
            if isinstance(counts, str | bytes)
            else np.array([_count(v) for v in counts], dtype=np.int64)
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"an RLE must be a dict with 'size' [height, width] and 'counts', got {_brief(segmentation)}"
        ) from error
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise InputError(
            f"run lengths must be positive and add up to {height} x {width} = {height * width} pixels, "
            f"got a sum of {int(runs.sum())}; is 'size' [height, width]?"
        )
    return canonical(Rle((height, width), runs))


def _count(value: Any) -> int:
    """A number of pixels; not 1.5, "4" or True."""
    if isinstance(value, bool) or value != int(value):
        raise ValueError(f"{value!r} is no whole number of pixels")
    return int(value)


def canonical(rle: Rle) -> Rle:
    """The same mask with no empty run but perhaps the first, as every encoder here writes it."""
    counts = rle.counts
    if len(counts) == 0 or (counts[1:] > 0).all():
        return rle
    kept = counts > 0
    ends, value = np.cumsum(counts)[kept], (np.arange(len(counts)) % 2)[kept]
    if len(ends) == 0:
        return Rle(rle.size, np.zeros(0, np.int64))
    closes = np.concatenate([value[1:] != value[:-1], [True]])
    runs = np.diff(np.concatenate([[0], ends[closes]]))
    return Rle(rle.size, np.concatenate([[0], runs]) if value[0] else runs)


def _transposed(mask: np.ndarray) -> np.ndarray:
    """The mask's columns as rows, bool [W, H], contiguous; twenty times as fast as numpy's copy."""
    mask = np.ascontiguousarray(mask, dtype=bool)
    return cv2.transpose(mask.view(np.uint8)).view(bool) if mask.size else mask.T


def _brief(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
