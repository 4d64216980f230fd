"""A scene cut into overlapping tiles, and which masks of neighbouring tiles are one object.

A tile sees an object whole, or cut at its own border. Three rules, by what two tiles share:

1. A mask cut at its tile's border that lies inside another tile, clear of that one's border, is dropped:
   the other tile has seen the place whole, and what it says stands. So nothing smaller than the overlap is
   ever in pieces.
2. Two whole masks are doubles if their IoU is above :data:`DOUBLE`; the one with the higher predicted IoU
   stays.
3. Otherwise two masks of which at least one is cut are one object if their IoU within the strip that both
   tiles see is above :data:`SAME`; their pixels are joined, over as many tiles as it takes. The best pairs
   come first, and an object takes one mask from each tile, so that a whole and its part stay two objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from everymask.errors import OptionError
from everymask.everything.grid import Crop
from everymask.masks.boxes import near_crop_edge
from everymask.masks.rle import box_xyxy, decode_box, encode_at, union
from everymask.maskset import Mask, MaskSet

SAME = 0.5
DOUBLE = 0.7
NEAR = 1 / 64
"""A mask within this share of a tile's side from its border counts as cut there."""

Place = tuple[int, int]
"""A mask: the number of its tile, and its number there."""


@dataclass(frozen=True)
class Tiling:
    """How a scene is cut. Raises :class:`OptionError` for sizes that leave no room.

    >>> Tiling(1024).shared
    128
    """

    side: int = 1024
    overlap: int | None = None
    """Pixels that neighbours share; None: an eighth of the side."""

    def __post_init__(self) -> None:
        overlap = 0 if self.overlap is None else self.overlap
        for name, value in (("side", self.side), ("overlap", overlap)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise OptionError(f"the {name} of a tile must be a whole number of pixels, got {value!r}")
        if self.side < 32:
            raise OptionError(f"a tile must be at least 32 pixels a side, got {self.side}")
        if not 0 <= self.shared <= self.side // 2:
            raise OptionError(
                f"tiles of {self.side} pixels may overlap by 0 to {self.side // 2} pixels, got {self.overlap}"
            )

    @property
    def shared(self) -> int:
        """The least overlap in pixels."""
        return int(self.side) // 8 if self.overlap is None else self.overlap

    @property
    def near(self) -> int:
        """How close to a tile's border a mask counts as cut, in pixels."""
        return max(1, round(self.side * NEAR))

    def tiles(self, scene_hw: tuple[int, int]) -> list[Crop]:
        """The tiles, row by row, evenly spread; all of one size where the scene is as large.

        >>> [tile.xyxy for tile in Tiling(64, 16).tiles((64, 100))]
        [(0, 0, 64, 64), (36, 0, 100, 64)]
        """
        tops, lefts = (_starts(length, self.side, self.shared) for length in scene_hw)
        height, width = (min(self.side, length) for length in scene_hw)
        return [Crop(x, y, x + width, y + height, 0) for y in tops for x in lefts]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    count = -((overlap - length) // (side - overlap))
    return np.linspace(0, length - side, count).round().astype(int).tolist()


@dataclass(frozen=True)
class Seams:
    """What becomes of the masks of all tiles; those not named stay as they are."""

    dropped: frozenset[Place]
    joined: Mapping[Place, tuple[Place, ...]]
    """By its first mask, all that make up one object."""

    def objects(self, counts: Sequence[int]) -> Iterator[tuple[Place, ...]]:
        """Every object as its masks, in the order of the tiles; ``counts`` are the masks of each tile."""
        later = {place for group in self.joined.values() for place in group[1:]}
        for tile, count in enumerate(counts):
            for number in range(count):
                place = tile, number
                if place not in self.dropped and place not in later:
                    yield self.joined.get(place, (place,))


@dataclass
class _Seen:
    """What is kept of a tile's masks while seams are resolved."""

    boxes: np.ndarray  # int64 [K, 4] xyxy in the scene, maximum edges inclusive
    areas: np.ndarray  # int64 [K]
    scores: np.ndarray  # float64 [K]
    cut: np.ndarray  # bool [K]


def resolve(
    tiles: Sequence[Crop],
    masks_of: Callable[[int], MaskSet],
    scene_hw: tuple[int, int],
    near: int,
) -> Seams:
    """Which masks of the tiles are one object.

    ``masks_of`` gives a tile's masks in its own pixels; it is asked again and again, tile by tile. Memory
    goes by the boxes of all masks and the pixels of one pair of tiles.
    """
    seen = [_seen(tile, masks_of(number), scene_hw, near) for number, tile in enumerate(tiles)]
    dropped = {
        (number, int(k))
        for number, each in enumerate(seen)
        for k in _seen_better(number, each, tiles, scene_hw, near)
    }
    doubles: list[tuple[float, Place, Place]] = []
    same: list[tuple[float, Place, Place]] = []
    for a, b in _neighbours(tiles):
        for iou, i, j, is_double in _pairs(tiles, masks_of, seen, dropped, a, b):
            (doubles if is_double else same).append((iou, (a, i), (b, j)))
    for _, one, other in sorted(doubles, key=_best_first):
        if one not in dropped and other not in dropped:
            worse = other if _score(seen, one) >= _score(seen, other) else one
            dropped.add(worse)
    groups = _Groups()
    for _, one, other in sorted(same, key=_best_first):
        if one not in dropped and other not in dropped:
            groups.join(one, other)
    return Seams(frozenset(dropped), groups.joined())


def whole_mask(
    places: Sequence[Place], tiles: Sequence[Crop], masks: Sequence[Mask], scene_hw: tuple[int, int]
) -> Mask:
    """One object as a mask of the scene, from its masks in their tiles' pixels.

    Of several pieces the scores are the lowest; the points are those of all, and there is no crop box.
    """
    moved = [placed(mask, tiles[tile], scene_hw) for (tile, _), mask in zip(places, masks, strict=True)]
    if len(moved) == 1:
        return moved[0]
    ious = [each.predicted_iou for each in moved if each.predicted_iou is not None]
    stable = [each.stability_score for each in moved if each.stability_score is not None]
    return Mask(
        union([each.runs for each in moved]),
        predicted_iou=min(ious) if len(ious) == len(moved) else None,
        stability_score=min(stable) if len(stable) == len(moved) else None,
        point_coords=[point for each in moved for point in each.point_coords or ()] or None,
        label=moved[0].label,
        attributes=moved[0].attributes,
    )


def placed(mask: Mask, tile: Crop, scene_hw: tuple[int, int]) -> Mask:
    """A mask of a tile as one of the scene."""
    rows, columns = mask.extent
    corner = tile.x0 + columns.start, tile.y0 + rows.start
    x, y, width, height = mask.bbox
    crop = mask.crop_box
    return mask.replace(
        rle=encode_at(np.ascontiguousarray(mask.crop().T), corner, scene_hw),
        point_coords=mask.point_coords and [(px + tile.x0, py + tile.y0) for px, py in mask.point_coords],
        crop_box=crop and (crop[0] + tile.x0, crop[1] + tile.y0, crop[2], crop[3]),
        bbox=(x + tile.x0, y + tile.y0, width, height),
    )


def _seen(tile: Crop, masks: MaskSet, scene_hw: tuple[int, int], near: int) -> _Seen:
    boxes = np.array([box_xyxy(mask.runs) for mask in masks], np.int64).reshape(-1, 4)
    boxes += [tile.x0, tile.y0, tile.x0, tile.y0]
    scores = np.array([mask.predicted_iou or 0.0 for mask in masks])
    return _Seen(boxes, masks.areas, scores, _is_cut(boxes, tile, scene_hw, near))


def _is_cut(boxes: np.ndarray, tile: Crop, scene_hw: tuple[int, int], near: int) -> np.ndarray:
    """Which boxes [K, 4] (inclusive) reach a border of the tile inside the scene, bool [K]."""
    edges = boxes + np.array([0, 0, 1, 1])
    return near_crop_edge(edges, tile.xyxy, scene_hw, near)


def _seen_better(
    number: int, seen: _Seen, tiles: Sequence[Crop], scene_hw: tuple[int, int], near: int
) -> np.ndarray:
    """The cut masks of a tile that lie inside another tile, clear of its border."""
    found = np.zeros(len(seen.boxes), bool)
    for other in _around(number, tiles):
        tile = tiles[other]
        inside = (seen.boxes >= [tile.x0, tile.y0, 0, 0]).all(1) & (
            seen.boxes[:, 2:] < [tile.x1, tile.y1]
        ).all(1)
        found |= inside & ~_is_cut(seen.boxes, tile, scene_hw, near)
    return np.flatnonzero(found & seen.cut)


def _around(number: int, tiles: Sequence[Crop]) -> list[int]:
    """The tiles that share pixels with one, itself excluded."""
    one = tiles[number]
    across = next((n for n, tile in enumerate(tiles) if tile.y0 != tiles[0].y0), len(tiles))
    row, column = divmod(number, across)
    near = [
        (row + down) * across + column + right
        for down in range(-2, 3)
        for right in range(-2, 3)
        if 0 <= column + right < across and 0 <= row + down < len(tiles) // across
    ]
    return [other for other in near if other != number and _shared(one, tiles[other]) is not None]


def _neighbours(tiles: Sequence[Crop]) -> Iterator[tuple[int, int]]:
    """Every two tiles that share pixels, once, the earlier one first."""
    for number in range(len(tiles)):
        yield from ((number, other) for other in _around(number, tiles) if other > number)


def _shared(a: Crop, b: Crop) -> tuple[int, int, int, int] | None:
    """The box that two tiles share, maximum edges exclusive."""
    box = max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1)
    return box if box[0] < box[2] and box[1] < box[3] else None


def _pairs(
    tiles: Sequence[Crop],
    masks_of: Callable[[int], MaskSet],
    seen: Sequence[_Seen],
    dropped: set[Place],
    a: int,
    b: int,
) -> Iterator[tuple[float, int, int, bool]]:
    """Masks of two tiles that are one object: IoU, both numbers, and whether they are doubles."""
    strip = _shared(tiles[a], tiles[b])
    assert strip is not None
    sides = []
    for number in (a, b):
        inside = _clipped(seen[number].boxes, strip)
        kept = [k for k in np.flatnonzero(inside[:, 2] >= 0).tolist() if (number, k) not in dropped]
        masks = masks_of(number) if kept else ()
        sides.append([(k, inside[k], _pixels(masks[k], tiles[number], inside[k])) for k in kept])
    for i, box_i, pixels_i in sides[0]:
        for j, box_j, pixels_j in sides[1]:
            shared = _overlap(box_i, pixels_i, box_j, pixels_j)
            if not shared:
                continue
            cut = bool(seen[a].cut[i] or seen[b].cut[j])
            both = pixels_i.sum() + pixels_j.sum() if cut else seen[a].areas[i] + seen[b].areas[j]
            iou = float(shared / (both - shared))
            if iou > (SAME if cut else DOUBLE):
                yield iou, i, j, not cut


def _clipped(boxes: np.ndarray, strip: tuple[int, int, int, int]) -> np.ndarray:
    """Boxes [K, 4] (inclusive) within a strip; a maximum of -1 where there is nothing."""
    inside = np.concatenate(
        [np.maximum(boxes[:, :2], strip[:2]), np.minimum(boxes[:, 2:], np.array(strip[2:]) - 1)], axis=1
    )
    empty = (inside[:, :2] > inside[:, 2:]).any(axis=1)
    inside[empty] = -1
    return inside


def _pixels(mask: Mask, tile: Crop, box: np.ndarray) -> np.ndarray:
    """The pixels of a tile's mask within a box of the scene (inclusive)."""
    x0, y0, x1, y1 = (box - [tile.x0, tile.y0, tile.x0, tile.y0]).tolist()
    return decode_box(mask.runs, (x0, y0, x1 + 1, y1 + 1))


def _overlap(box_a: np.ndarray, a: np.ndarray, box_b: np.ndarray, b: np.ndarray) -> int:
    """How many pixels two crops at their boxes (inclusive) share."""
    x0, y0 = np.maximum(box_a[:2], box_b[:2]).tolist()
    x1, y1 = (np.minimum(box_a[2:], box_b[2:]) + 1).tolist()
    if x0 >= x1 or y0 >= y1:
        return 0
    parts = [
        pixels[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
        for box, pixels in ((box_a, a), (box_b, b))
    ]
    return int(np.count_nonzero(parts[0] & parts[1]))


def _best_first(pair: tuple[float, Place, Place]) -> tuple[float, Place, Place]:
    iou, one, other = pair
    return -iou, one, other


def _score(seen: Sequence[_Seen], place: Place) -> float:
    return float(seen[place[0]].scores[place[1]])


class _Groups:
    """Masks joined to objects, one of each tile at most."""

    def __init__(self) -> None:
        self._group_of: dict[Place, int] = {}
        self._groups: dict[int, list[Place]] = {}

    def join(self, one: Place, other: Place) -> None:
        """Make two masks one object, unless a tile would give it two."""
        a, b = self._of(one), self._of(other)
        if a == b or {tile for tile, _ in self._groups[a]} & {tile for tile, _ in self._groups[b]}:
            return
        self._groups[a] += self._groups.pop(b)
        for place in self._groups[a]:
            self._group_of[place] = a

    def joined(self) -> dict[Place, tuple[Place, ...]]:
        """Objects of several masks by their first one."""
        groups = (tuple(sorted(group)) for group in self._groups.values() if len(group) > 1)
        return {group[0]: group for group in groups}

    def _of(self, place: Place) -> int:
        if place not in self._group_of:
            number = len(self._group_of)
            self._group_of[place], self._groups[number] = number, [place]
        return self._group_of[place]
