"""The candidates of a crop until suppression, in bounded memory.

Which masks survive is known only at the end, but most of those that a better one suppresses now stay
suppressed. So where the logits come to more than :data:`BYTES_KEPT`, only scores and boxes of such candidates
are kept; the few that survive after all, because what suppressed them was suppressed itself, are decoded
again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from everymask.everything import filters
from everymask.everything.candidates import Candidate, CropDecoder, boxes_of, candidates, encoded
from everymask.everything.workers import Workers

BYTES_KEPT = 1 << 26
"""Logits of candidates that are held before anything is let go."""


@dataclass(frozen=True)
class Tile:
    """Points that were decoded together, and what filters and suppression ask of their k candidates."""

    points_xy: np.ndarray  # [P, 2] crop pixels
    boxes: np.ndarray  # int64 [k, 4]
    iou: np.ndarray  # float32 [k]


class Held:
    """Takes candidates tile by tile and gives those that suppression leaves."""

    def __init__(self, nms_threshold: float, bytes_kept: int = BYTES_KEPT) -> None:
        self._threshold, self._limit = nms_threshold, bytes_kept
        self._tiles: list[Tile] = []
        self._tile_of: list[int] = []
        self._whole: dict[int, Candidate] = {}  # those that still have their logits, by their number
        self._bytes = 0

    def add(self, points_xy: np.ndarray, found: Sequence[Candidate]) -> None:
        """The candidates of a tile of points [P, 2] (crop pixels)."""
        first = len(self._tile_of)
        self._tile_of += [len(self._tiles)] * len(found)
        self._tiles.append(Tile(points_xy, boxes_of(found), np.array([c.iou for c in found], np.float32)))
        self._whole |= enumerate(found, first)
        self._bytes += _bytes(found)
        if self._bytes > self._limit:
            self._let_go()

    def survivors(self, workers: Workers[CropDecoder]) -> list[Candidate]:
        """Those that suppression leaves, encoded, best predicted IoU first."""
        jobs = [self._whole.get(i) or self._lost(i) for i in self._kept().tolist()]
        return list(workers.map(_finished, jobs))

    def _kept(self) -> np.ndarray:
        if not self._tiles:
            return np.zeros(0, np.int64)
        boxes = np.concatenate([tile.boxes for tile in self._tiles])
        iou = np.concatenate([tile.iou for tile in self._tiles])
        return filters.within_crop(boxes, iou, self._threshold)

    def _let_go(self) -> None:
        kept = set(self._kept().tolist())
        self._whole = {number: c for number, c in self._whole.items() if number in kept}
        self._bytes = _bytes(self._whole.values())
        self._limit = max(self._limit, 2 * self._bytes)  # not at every tile, however many survive

    def _lost(self, number: int) -> Lost:
        which = self._tile_of[number]
        return Lost(self._tiles[which], number - bisect_left(self._tile_of, which))


@dataclass(frozen=True)
class Lost:
    """A candidate that was let go."""

    tile: Tile
    place: int  # among the candidates of its tile


def _bytes(found: Iterable[Candidate]) -> int:
    return sum(c.patch.bytes for c in found if c.patch is not None)


def _finished(decoder: CropDecoder, job: Candidate | Lost) -> Candidate:
    return encoded(decoder, _again(decoder, job) if isinstance(job, Lost) else job)


def _again(decoder: CropDecoder, lost: Lost) -> Candidate:
    """The candidate with its logits: the same tile gives the same candidates, or on a GPU nearly the same."""
    box, iou = lost.tile.boxes[lost.place], lost.tile.iou[lost.place]
    found = candidates(decoder, lost.tile.points_xy)

    def apart(place: int) -> tuple[float, float, int]:
        other = found[place]
        return (
            float(np.abs(other.box_xyxy - box).sum()),
            abs(float(other.iou - iou)),
            abs(place - lost.place),
        )

    return found[min(range(len(found)), key=apart)]
