"""The candidates of a crop until suppression, in bounded memory.

Which masks survive is known only at the end, but most of those that a better one suppresses now stay
suppressed. So where the logits come to more than :data:`BYTES_KEPT`, such candidates keep their scores and
boxes alone; the few that survive after all, because what suppressed them was suppressed itself, are decoded
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from everymask.everything import filters
from everymask.everything.candidates import Candidate, CropDecoder, candidates, encoded
from everymask.everything.workers import Workers

BYTES_KEPT = 1 << 27
"""Logits of candidates that are held before anything is let go."""


class Held:
    """Takes candidates tile by tile and gives those that suppression leaves."""

    def __init__(self, nms_threshold: float, bytes_kept: int = BYTES_KEPT) -> None:
        self._threshold, self._limit = nms_threshold, bytes_kept
        self._found: list[Candidate] = []
        self._tiles: list[np.ndarray] = []  # points that were decoded together
        self._tile_of: list[int] = []
        self._bytes = 0

    def add(self, points_xy: np.ndarray, found: Sequence[Candidate]) -> None:
        """The candidates of a tile of points [P, 2] (crop pixels)."""
        self._tile_of += [len(self._tiles)] * len(found)
        self._tiles.append(points_xy)
        self._found += found
        self._bytes += _bytes(found)
        if self._bytes > self._limit:
            self._let_go()

    def survivors(self, workers: Workers[CropDecoder]) -> list[Candidate]:
        """Those that suppression leaves, encoded, best predicted IoU first."""
        kept = self._kept().tolist()
        return list(workers.map(_finished, [(self._found[i], self._tiles[self._tile_of[i]]) for i in kept]))

    def _kept(self) -> np.ndarray:
        boxes = np.array([c.box_xyxy for c in self._found], np.int64).reshape(-1, 4)
        iou = np.array([c.iou for c in self._found], np.float32)
        return filters.within_crop(boxes, iou, self._threshold)

    def _let_go(self) -> None:
        kept = set(self._kept().tolist())
        self._found = [c if i in kept else replace(c, patch=None) for i, c in enumerate(self._found)]
        self._bytes = _bytes(self._found)
        self._limit = max(self._limit, 2 * self._bytes)  # not at every tile, however many survive


def _bytes(found: Sequence[Candidate]) -> int:
    return sum(c.patch.bytes for c in found if c.patch is not None)


def _finished(decoder: CropDecoder, job: tuple[Candidate, np.ndarray]) -> Candidate:
    candidate, points_xy = job
    return encoded(
        decoder, candidate if candidate.patch is not None else _again(decoder, candidate, points_xy)
    )


def _again(decoder: CropDecoder, candidate: Candidate, points_xy: np.ndarray) -> Candidate:
    """The candidate with its logits. The same tile gives the same numbers, so it is found by its own."""

    def apart(other: Candidate) -> tuple[float, ...]:
        return (
            float(np.abs(other.point_xy - candidate.point_xy).sum()),
            abs(float(other.iou) - float(candidate.iou)),
            float(np.abs(other.box_xyxy - candidate.box_xyxy).sum()),
        )

    return replace(candidate, patch=min(candidates(decoder, points_xy), key=apart).patch)
