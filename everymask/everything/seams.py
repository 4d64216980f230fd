"""Which masks of overlapping tiles are one object.

A tile sees an object whole, or cut at its own border. Three rules, by what two tiles share:

1. A mask cut at its tile's border that lies inside another tile, clear of that one's border, is dropped:
   the other tile has seen the place whole, and what it says stands. So nothing smaller than the overlap is
   ever in pieces.
2. Two whole masks are doubles if their IoU is above :data:`DOUBLE`; the one with the higher predicted IoU
   stays.
3. Otherwise two masks of which at least one is cut are one object if their IoU within the strip that both
   tiles see is above :data:`SAME`; their pixels are joined, over as many tiles as it takes. The best pairs
   come first; of two masks of a tile that are like the same one of another, that with which fewer tiles
   agree comes last.
4. A cut mask, or what became of several, that has a long edge on its tiles' borders and lies within a larger
   object of several tiles is a piece of that one which ends where its tiles do: dropped
   (:mod:`everymask.everything.pieces`).

Two masks of one tile that overlap or touch stay two objects: a whole and its part, a river and its bank. Two
that are clear of each other may be one object that comes through the tile twice. A mask has an open end where
it is cut and the neighbour has nothing like it; :mod:`everymask.everything.open_ends` asks the neighbour
again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, product

import cv2
import numpy as np

from everymask.everything.grid import Crop
from everymask.everything.pieces import lies_along, lies_within, put_together
from everymask.everything.tiles import Place, across, around, neighbours, shared_box
from everymask.masks.boxes import near_crop_edge
from everymask.masks.rle import box_xyxy, column_runs, decode_box
from everymask.maskset import Mask, MaskSet

SAME = 0.5
DOUBLE = 0.7
CONFIRMED = 0.9
"""A mask that another tile agrees with so well is followed where it ends."""
PIECE_TILES = 2
"""What is longer, by the side of a tile, is not looked at as a piece."""
GROUNDS = 4096
"""Masks whose ground is remembered while objects are joined, 4 KB each."""


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


Pair = tuple[float, Place, Place]
"""IoU, and two masks."""


@dataclass(frozen=True)
class End:
    """Where an object is cut at a tile's border and the tile beyond has nothing like it."""

    place: Place
    beyond: int
    """The number of that tile."""


class Views:
    """What tiles that share pixels say of each other's masks.

    ``masks_of`` gives a tile's masks in its own pixels; it is asked again and again, tile by tile. Memory
    goes by the boxes of all masks and the pixels of one pair of tiles. ``watch`` hears how many pairs are
    compared.
    """

    def __init__(
        self,
        tiles: Sequence[Crop],
        masks_of: Callable[[int], MaskSet],
        scene_hw: tuple[int, int],
        near: int,
        watch: Callable[[int, int], None] = lambda done, pairs: None,
    ) -> None:
        self._tiles, self._masks_of, self._scene_hw, self._near = tiles, masks_of, scene_hw, near
        self._watch = watch
        self._seen = [_seen(tile, masks_of(n), scene_hw, near) for n, tile in enumerate(tiles)]
        self._dropped: set[Place] = set()
        self._pairs: dict[tuple[int, int], list[tuple[float, int, int, bool]]] = {}
        for number in range(len(tiles)):
            self._drop_seen_better(number)
        self._compare(list(neighbours(tiles)))

    def look_again(self, numbers: Collection[int], dropped: Iterable[Place] = ()) -> None:
        """Take in that these tiles have further masks, and that some masks do not count any more."""
        self._dropped.update(dropped)
        for number in numbers:
            self._seen[number] = _seen(
                self._tiles[number], self._masks_of(number), self._scene_hw, self._near
            )
            self._drop_seen_better(number)
        again = {
            (min(number, other), max(number, other))
            for number in numbers
            for other in around(number, self._tiles)
        }
        self._compare(sorted(again))

    def open_ends(self) -> list[End]:
        """The open ends of masks that another tile confirms, in the order of the tiles."""
        confirmed = {
            place for iou, one, other, _ in self._told() if iou > CONFIRMED for place in (one, other)
        }
        paired = {
            (place, beyond[0])
            for _, one, other, _ in self._told()
            for place, beyond in ((one, other), (other, one))
        }
        return [
            End((number, k), other)
            for number, seen in enumerate(self._seen)
            for other, reaching in self._crossing(number)
            for k in np.flatnonzero(reaching & seen.cut).tolist()
            if (number, k) in confirmed
            and ((number, k), other) not in paired
            and shared_box(self._tiles[number], self._tiles[other]) is not None
        ]

    def piece(self, end: End) -> tuple[tuple[int, int, int, int], np.ndarray]:
        """What an open end's tile says of the strip that it shares with the one beyond: the strip (x0, y0,
        x1, y1) in that one's pixels, and the mask in it, bool [h, w]."""
        number, k = end.place
        tile, beyond = self._tiles[number], self._tiles[end.beyond]
        strip = shared_box(tile, beyond)
        assert strip is not None
        pixels = _pixels(self._masks_of(number)[k], tile, np.array(strip) - [0, 0, 1, 1])
        x0, y0, x1, y1 = strip
        return (x0 - beyond.x0, y0 - beyond.y0, x1 - beyond.x0, y1 - beyond.y0), pixels

    def seams(self) -> Seams:
        """Which masks are one object."""
        dropped = set(self._dropped)
        told = list(self._told())
        for _, one, other in sorted((pair[:3] for pair in told if pair[3]), key=_best_first):
            if one not in dropped and other not in dropped:
                worse = other if _score(self._seen, one) >= _score(self._seen, other) else one
                dropped.add(worse)
        pairs = [pair[:3] for pair in told if not pair[3] and not dropped.intersection(pair[1:3])]
        yielding = _yielding(pairs)

        def order(pair: Pair) -> tuple[int, Pair]:
            return len(yielding.intersection(pair[1:])), _best_first(pair)

        groups = _Groups(self._clear())
        for _, one, other in sorted(pairs, key=order):
            groups.join(one, other)
        joined = groups.joined()
        dropped.update(list(self._pieces(joined, dropped)))
        return Seams(
            frozenset(dropped), {first: places for first, places in joined.items() if first not in dropped}
        )

    def _pieces(self, joined: Mapping[Place, Sequence[Place]], dropped: set[Place]) -> Iterator[Place]:
        """The masks, joined ones together, that end along their tiles' borders within a larger object."""
        objects: dict[int, list[tuple[Place, Place]]] = {}
        """The joined masks of each tile, and before each the first one of its object."""
        for first, places in joined.items():
            for place in places:
                objects.setdefault(place[0], []).append((first, place))
        areas = {first: self._area(places) for first, places in joined.items()}
        parts = dropped.union(*joined.values())
        alone = (
            ((number, k),)
            for number, seen in enumerate(self._seen)
            for k in np.flatnonzero(seen.cut).tolist()
            if (number, k) not in parts
        )
        for places in chain(joined.values(), alone):
            if self._is_piece(places, objects, areas):
                yield from places

    def _is_piece(
        self,
        places: Sequence[Place],
        objects: Mapping[int, Sequence[tuple[Place, Place]]],
        areas: Mapping[Place, int],
    ) -> bool:
        boxes = np.array([self._seen[tile].boxes[k] for tile, k in places])
        box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        tiles = {tile for tile, _ in places}
        if (box[2:] - box[:2] >= np.array(self._tiles[0].hw[::-1]) * PIECE_TILES).any():
            return False
        mask = box, put_together(self._crops(places, box), box)
        if not lies_along(mask, [self._tiles[tile] for tile in tiles], self._scene_hw):
            return False
        area = self._area(places)
        larger: dict[Place, list[Place]] = {}
        for tile in tiles.union(*(around(tile, self._tiles) for tile in tiles)):
            for first, place in objects.get(tile, ()):
                if areas[first] > area:
                    larger.setdefault(first, []).append(place)
        return any(lies_within(mask, self._crops(near, box)) for near in larger.values())

    def _area(self, places: Sequence[Place]) -> int:
        """The pixels of masks, those that tiles share counted for each."""
        return sum(int(self._seen[tile].areas[k]) for tile, k in places)

    def _crops(self, places: Iterable[Place], box: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Where boxes of masks meet a box of the scene, and their pixels there."""
        for tile, k in places:
            other = self._seen[tile].boxes[k]
            met = np.concatenate([np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])])
            if (met[:2] <= met[2:]).all():
                yield met, _pixels(self._masks_of(tile)[k], self._tiles[tile], met)

    def _told(self) -> Iterator[tuple[float, Place, Place, bool]]:
        """All pairs of masks, and whether they are doubles."""
        for (a, b), pairs in self._pairs.items():
            yield from ((iou, (a, i), (b, j), double) for iou, i, j, double in pairs)

    def _compare(self, neighbours: Sequence[tuple[int, int]]) -> None:
        for done, (a, b) in enumerate(neighbours, 1):
            self._watch(done, len(neighbours))
            self._pairs[a, b] = list(_pairs(self._tiles, self._masks_of, self._seen, self._dropped, a, b))

    def _drop_seen_better(self, number: int) -> None:
        better = _seen_better(number, self._seen[number], self._tiles, self._scene_hw, self._near)
        self._dropped.update((number, int(k)) for k in better)

    def _crossing(self, number: int) -> Iterator[tuple[int, np.ndarray]]:
        """The tiles beyond each side of a tile, and which of its masks reach that side, bool [K]."""
        tile, seen, width = self._tiles[number], self._seen[number], across(self._tiles)
        kept = np.array([(number, k) not in self._dropped for k in range(len(seen.boxes))], bool)
        x0, y0, x1, y1 = seen.boxes.T
        column = number % width
        if column + 1 < width:
            yield number + 1, kept & (x1 + 1 >= tile.x1 - self._near)
        if column:
            yield number - 1, kept & (x0 <= tile.x0 + self._near)
        if number + width < len(self._tiles):
            yield number + width, kept & (y1 + 1 >= tile.y1 - self._near)
        if number >= width:
            yield number - width, kept & (y0 <= tile.y0 + self._near)

    def _clear(self) -> Callable[[Place, Place], bool]:
        """Whether two masks of a tile are clear of each other: by more than ``near`` pixels."""

        @lru_cache(maxsize=GROUNDS)
        def ground(place: Place) -> np.ndarray:
            return _cells(self._masks_of(place[0])[place[1]], self._near)

        @cache
        def clear(one: Place, other: Place) -> bool:
            grown = cv2.dilate(ground(one), np.ones((3, 3), np.uint8))
            return not (grown & ground(other)).any()

        return clear


def resolve(
    tiles: Sequence[Crop],
    masks_of: Callable[[int], MaskSet],
    scene_hw: tuple[int, int],
    near: int,
) -> Seams:
    """Which masks of the tiles are one object, by what they are alone (see :class:`Views`)."""
    return Views(tiles, masks_of, scene_hw, near).seams()


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
    for other in around(number, tiles):
        tile = tiles[other]
        inside = (seen.boxes >= [tile.x0, tile.y0, 0, 0]).all(1) & (
            seen.boxes[:, 2:] < [tile.x1, tile.y1]
        ).all(1)
        found |= inside & ~_is_cut(seen.boxes, tile, scene_hw, near)
    return np.flatnonzero(found & seen.cut)


def _pairs(
    tiles: Sequence[Crop],
    masks_of: Callable[[int], MaskSet],
    seen: Sequence[_Seen],
    dropped: set[Place],
    a: int,
    b: int,
) -> Iterator[tuple[float, int, int, bool]]:
    """Masks of two tiles that are one object: IoU, both numbers, and whether they are doubles."""
    strip = shared_box(tiles[a], tiles[b])
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
            if cut:
                iou = _agreement(box_i, pixels_i, box_j, pixels_j, shared)
            else:
                iou = float(shared / (seen[a].areas[i] + seen[b].areas[j] - shared))
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


def _agreement(box_a: np.ndarray, a: np.ndarray, box_b: np.ndarray, b: np.ndarray, shared: int) -> float:
    """The IoU of two crops at their boxes (inclusive), at least one of them cut.

    Where one tile sees an object come in twice and the other sees one of its ends alone, the end counts: what
    is not connected with anything of the other crop is left out, unless that is most of both.
    """
    areas = np.array([np.count_nonzero(a), np.count_nonzero(b)])
    iou = float(shared / (areas.sum() - shared))
    if iou > SAME or shared <= SAME * SAME * areas.min():
        return iou
    corner = np.minimum(box_a[:2], box_b[:2])
    placed_at = np.maximum(box_a[2:], box_b[2:]) + 1 - corner
    sides = []
    for box, pixels in ((box_a, a), (box_b, b)):
        side = np.zeros(placed_at[::-1], np.uint8)
        x0, y0, x1, y1 = (box - [*corner, *corner]).tolist()
        side[y0 : y1 + 1, x0 : x1 + 1] = pixels
        sides.append(side)
    met = np.array([_connected_with(one, other) for one, other in (sides, sides[::-1])])
    return float(shared / (met.sum() - shared)) if (met > SAME * areas).any() else iou


def _connected_with(pixels: np.ndarray, other: np.ndarray) -> int:
    """How many pixels, uint8 [h, w] of 0 and 1, are in components that share any with ``other``."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
    met = np.unique(numbers[(pixels & other) > 0])
    return int(stats[met, cv2.CC_STAT_AREA].sum())


def _cells(mask: Mask, side: int) -> np.ndarray:
    """Which cells of ``side`` pixels a mask reaches into, uint8 [W / side, H / side]."""
    height, width = mask.size
    column, top, bottom = column_runs(mask.runs)
    edges = np.zeros((-(-width // side), -(-height // side) + 1), np.int32)
    np.add.at(edges, (column // side, top // side), 1)
    np.add.at(edges, (column // side, (bottom - 1) // side + 1), -1)
    return (edges.cumsum(axis=1)[:, :-1] > 0).astype(np.uint8)


def _yielding(pairs: Sequence[Pair]) -> set[Place]:
    """The masks that have a rival, a mask of their tile that is paired with the same one, with which more
    tiles agree."""
    agreeing: dict[Place, set[int]] = {}
    rivals: dict[tuple[Place, int], list[Place]] = {}
    for _, one, other in pairs:
        for place, partner in ((one, other), (other, one)):
            agreeing.setdefault(place, set()).add(partner[0])
            rivals.setdefault((partner, place[0]), []).append(place)
    found: set[Place] = set()
    for places in rivals.values():
        most = max(len(agreeing[place]) for place in places)
        found.update(place for place in places if len(agreeing[place]) < most)
    return found


def _best_first(pair: tuple[float, Place, Place]) -> tuple[float, Place, Place]:
    iou, one, other = pair
    return -iou, one, other


def _score(seen: Sequence[_Seen], place: Place) -> float:
    return float(seen[place[0]].scores[place[1]])


class _Groups:
    """Masks joined to objects."""

    def __init__(self, clear: Callable[[Place, Place], bool]) -> None:
        self._clear = clear
        self._group_of: dict[Place, int] = {}
        self._groups: dict[int, dict[int, list[Place]]] = {}
        """The masks of each group by their tiles."""

    def join(self, one: Place, other: Place) -> None:
        """Make two masks one object, unless that has masks of a tile that are not clear of each other."""
        a, b = self._of(one), self._of(other)
        if a == b:
            return
        if len(self._groups[a]) < len(self._groups[b]):
            a, b = b, a
        large, small = self._groups[a], self._groups[b]
        together = chain.from_iterable(product(large.get(tile, ()), places) for tile, places in small.items())
        if not all(self._clear(mine, theirs) for mine, theirs in together):
            return
        for tile, places in self._groups.pop(b).items():
            large.setdefault(tile, []).extend(places)
            self._group_of.update(dict.fromkeys(places, a))

    def joined(self) -> dict[Place, tuple[Place, ...]]:
        """Objects of several masks by their first one."""
        groups = (tuple(sorted(chain.from_iterable(group.values()))) for group in self._groups.values())
        return {group[0]: group for group in groups if len(group) > 1}

    def _of(self, place: Place) -> int:
        if place not in self._group_of:
            number = len(self._group_of)
            self._group_of[place], self._groups[number] = number, {place[0]: [place]}
        return self._group_of[place]
