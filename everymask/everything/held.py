"""The candidates of a crop until suppression, in bounded memory.

Stability is the dearest question about a mask, and most masks are suppressed whatever theirs is. So it is
asked last: suppression goes over all candidates, those that it leaves are measured, and as long as some of
them are not stable they are dropped and suppression goes over the others again. In the end each that stays is
stable, and each that went was suppressed by one that stays: as if all had been measured before.

Which masks survive is known only at the end, but most of those that a better one suppresses now stay
suppressed. So where the logits come to more than :data:`BYTES_KEPT`, only scores and boxes of such candidates
are kept; the few that survive after all, because what suppressed them was suppressed itself, are decoded
again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from everymask.everything import filters
from everymask.everything.candidates import (
    Candidate,
    CropDecoder,
    boxes_of,
    candidates,
    encoded,
    measured,
    stable,
)
from everymask.everything.workers import Job, Workers

BYTES_KEPT = 1 << 26
"""Logits of candidates that are held before anything is let go."""

MEASURED_TOGETHER = 8
"""Candidates that a worker measures in one go: they share the cost of calls."""


@dataclass(frozen=True)
class Tile:
    """Points that were decoded together, and what filters and suppression ask of their k candidates."""

    points_xy: np.ndarray  # [P, 2] crop pixels
    boxes: np.ndarray  # int64 [k, 4]
    iou: np.ndarray  # float32 [k]


class Held:
    """Takes candidates tile by tile and gives those that suppression leaves."""

    def __init__(self, decoder: CropDecoder, bytes_kept: int = BYTES_KEPT) -> None:
        self._decoder, self._limit = decoder, bytes_kept
        self._tiles: list[Tile] = []
        self._tile_of: list[int] = []
        self._whole: dict[int, Candidate] = {}  # those that still have their logits, by their number
        self._unstable: set[int] = set()
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

        def measure(numbers: Sequence[int]) -> Iterable[Candidate]:
            jobs = [self._whole.get(number) or self._lost(number) for number in numbers]
            return chain.from_iterable(workers.map(_measured, _groups(jobs)))

        kept = self._settled(measure, lambda number: True)
        return list(workers.map(encoded, [self._whole[number] for number in kept]))

    def _let_go(self) -> None:
        def measure(numbers: Sequence[int]) -> Iterable[Candidate]:
            groups = _groups([self._whole[number] for number in numbers])
            return chain.from_iterable(measured(self._decoder, group) for group in groups)

        kept = self._settled(measure, lambda number: number in self._whole)
        self._whole = {number: self._whole[number] for number in kept if number in self._whole}
        self._bytes = _bytes(self._whole.values())
        self._limit = max(self._limit, 2 * self._bytes)  # not at every tile, however many survive

    def _settled(
        self, measure: Callable[[Sequence[int]], Iterable[Candidate]], asks: Callable[[int], bool]
    ) -> list[int]:
        """The numbers of those that suppression leaves when all that it leaves, and ``asks``, are stable."""
        while True:
            kept = self._kept()
            asked = [number for number in kept if asks(number) and not self._is_measured(number)]
            if not asked:
                return kept
            for number, candidate in zip(asked, measure(asked), strict=True):
                if stable(self._decoder.options, candidate):
                    self._whole[number] = candidate
                else:
                    self._unstable.add(number)
                    self._whole.pop(number, None)

    def _kept(self) -> list[int]:
        """The numbers of those that suppression leaves if none is unstable but those known to be."""
        if not self._tiles:
            return []
        boxes = np.concatenate([tile.boxes for tile in self._tiles])
        iou = np.concatenate([tile.iou for tile in self._tiles])
        offered = np.delete(np.arange(len(iou)), list(self._unstable))
        threshold = self._decoder.options.box_nms_thresh
        return offered[filters.within_crop(boxes[offered], iou[offered], threshold)].tolist()

    def _is_measured(self, number: int) -> bool:
        return number in self._whole and self._whole[number].stability is not None

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


def _groups(jobs: Sequence[Job]) -> list[Sequence[Job]]:
    return [jobs[i : i + MEASURED_TOGETHER] for i in range(0, len(jobs), MEASURED_TOGETHER)]


def _measured(decoder: CropDecoder, jobs: Sequence[Candidate | Lost]) -> list[Candidate]:
    found = [_again(decoder, job) if isinstance(job, Lost) else job for job in jobs]
    return measured(decoder, found)


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
