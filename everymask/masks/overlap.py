"""Masks that share pixels, settled: each pixel to one mask, or masks that lie within or beside each other.

Both policies let the smaller mask win, as the more particular one. Nothing else changes: order and number of
the masks stay, and a mask that loses everything stays as an empty one, for the caller to count and drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as coco

from everymask.masks import rle
from everymask.masks.rle import Rle

WITHIN = 0.5
"""A mask belongs inside a larger one that holds at least this share of it."""


def disjoint(masks: Sequence[Rle]) -> list[Rle]:
    """Each pixel to the smallest mask that holds it; of equals to the later one.

    >>> whole, part = (rle.encode(np.array([row], bool)) for row in ([1, 1, 1], [0, 1, 0]))
    >>> [rle.decode(mask).astype(int).tolist() for mask in disjoint([whole, part])]
    [[[1, 0, 1]], [[0, 1, 0]]]
    """
    if not masks:
        return []
    owner = owners(masks, masks[0].size)
    return [_owned(mask, _extent(mask), owner, index) for index, mask in enumerate(masks)]


def owners(masks: Sequence[Rle], photo_hw: tuple[int, int]) -> np.ndarray:
    """For each pixel the number of the smallest mask that holds it, of equals the later one; -1: none.

    int32 [H, W].

    >>> whole, part = (rle.encode(np.array([row], bool)) for row in ([1, 1, 1, 0], [0, 1, 0, 0]))
    >>> owners([whole, part], (1, 4)).tolist()
    [[0, 1, 0, -1]]
    """
    owner = np.full(photo_hw, -1, dtype=np.int32)
    for index in _large_first(masks):
        extent = _extent(masks[index])
        owner[extent][_crop(masks[index], extent)] = index
    return owner


def nested(masks: Sequence[Rle]) -> list[Rle]:
    """Any two masks share no pixel, or one lies within the other.

    From the largest to the smallest, each mask is put inside the mask that holds most of it and loses what
    sticks out; from masks that hold less than half of it, it takes the shared pixels away.

    >>> a, b = (rle.encode(np.array([row], bool)) for row in ([1, 1, 1, 0, 0], [0, 0, 1, 1, 1]))
    >>> [rle.decode(mask).astype(int).tolist() for mask in nested([a, b])]
    [[[1, 1, 0, 0, 0]], [[0, 0, 1, 1, 1]]]
    """
    root = _Node(-1, None)
    nodes = [_Node(index, mask) for index, mask in enumerate(masks)]
    for index in _large_first(masks):
        _put(nodes[index], root)
    return [node.mask for node in nodes if node.mask is not None]


@dataclass
class _Node:
    """A mask with the masks inside it."""

    index: int
    mask: Rle | None
    children: list[_Node] = field(default_factory=list)

    def lose(self, taken: Rle) -> None:
        """Take pixels away from this mask and all inside it."""
        assert self.mask is not None
        if _intersection(self.mask, taken).area:
            self.mask = _difference(self.mask, taken)
            for child in self.children:
                child.lose(taken)


def _put(node: _Node, parent: _Node) -> None:
    """Find a mask its place in the tree: as deep as most of it lies inside."""
    assert node.mask is not None
    shared = [(_intersection(child.mask, node.mask), child) for child in parent.children if child.mask]
    inside = [(part, child) for part, child in shared if part.area >= WITHIN * node.mask.area and part.area]
    if inside:
        part, child = max(inside, key=lambda pair: pair[0].area)
        node.mask = part
        _put(node, child)
        return
    for part, child in shared:
        if part.area:
            child.lose(node.mask)
    parent.children.append(node)


def _large_first(masks: Sequence[Rle]) -> list[int]:
    return sorted(range(len(masks)), key=lambda index: -masks[index].area)


def _intersection(one: Rle, other: Rle) -> Rle:
    ax0, ay0, ax1, ay1 = rle.box_xyxy(one)
    bx0, by0, bx1, by1 = rle.box_xyxy(other)
    if ax0 > bx1 or bx0 > ax1 or ay0 > by1 or by0 > ay1:
        return Rle(one.size, np.array([one.size[0] * one.size[1]], np.int64))
    return rle.from_coco(coco.merge([rle.to_coco(one), rle.to_coco(other)], intersect=True))


def _difference(one: Rle, other: Rle) -> Rle:
    """The pixels of the first mask that the second does not have."""
    counts = other.counts
    flipped = counts[1:] if len(counts) > 1 and counts[0] == 0 else np.concatenate([[0], counts])
    return _intersection(one, Rle(other.size, flipped))


def _extent(mask: Rle) -> tuple[slice, slice]:
    if mask.area == 0:
        return slice(0, 0), slice(0, 0)
    x0, y0, x1, y1 = rle.box_xyxy(mask)
    return slice(y0, y1 + 1), slice(x0, x1 + 1)


def _crop(mask: Rle, extent: tuple[slice, slice]) -> np.ndarray:
    rows, columns = extent
    return rle.decode_box(mask, (columns.start, rows.start, columns.stop, rows.stop))


def _owned(mask: Rle, extent: tuple[slice, slice], owner: np.ndarray, index: int) -> Rle:
    """The part of a mask that is its own; the same mask where it lost nothing."""
    own = owner[extent] == index
    if int(own.sum()) == mask.area:
        return mask
    pixels = np.zeros(mask.size, dtype=bool)
    pixels[extent] = own
    return rle.encode(pixels)
