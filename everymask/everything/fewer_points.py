"""The ``fast`` effort: the masks of all points, or nearly, from few that are decoded in full.

A coarse pass tells which points those are (:mod:`coarse_pass`). Where the image has many tokens, as with all
official models, it is cheap and looks at every point. With few tokens nothing is much cheaper than decoding;
there grids are looked at from coarse to fine, leaving out points that those around them explain
(:mod:`explained`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from everymask.everything.candidates import Candidate, CropDecoder, candidates
from everymask.everything.coarse_pass import Estimates, Promising, estimated
from everymask.everything.explained import Explained
from everymask.everything.grid import point_grid, points_in, rounds
from everymask.everything.workers import Workers

Decoded = tuple[np.ndarray, list[Candidate]]

FRUITLESS = 2
"""After so many rounds in a row without a further mask no more are decoded. Late rounds are of a few points
each, take a tenth of the time (a quarter of the decoded points of some photos) and find nearly nothing."""


def ask_all(
    decoder: CropDecoder,
    workers: Workers[CropDecoder],
    points_xy: np.ndarray,
    advance: Callable[[int, int], None],
) -> Iterator[Decoded]:
    """Tiles of points [N, 2] (crop pixels) and their candidates, in order.

    ``advance(points, candidates)`` is told of what is done.
    """
    size = decoder.tile_size()
    tiles = [points_xy[i : i + size] for i in range(0, len(points_xy), size)]
    for tile, found in zip(tiles, workers.map(candidates, tiles), strict=True):
        yield tile, found
        advance(len(tile), len(found))


def ask_fewer(
    decoder: CropDecoder,
    workers: Workers[CropDecoder],
    points_xy: np.ndarray,
    advance: Callable[[int, int], None],
) -> Iterator[Decoded]:
    """Tiles of those points that promise a mask of their own; points that are looked at count as done.

    A decoder that cannot look coarsely, since somebody changed it, is asked about all.
    """
    if decoder.coarse is None or len(points_xy) == 0:
        yield from ask_all(decoder, workers, points_xy, advance)
        return
    estimates = _looked_at(decoder, workers, points_xy, lambda points: advance(points, 0))
    promising = Promising(estimates, len(points_xy), decoder.options.box_nms_thresh)
    masks, fruitless = 0, 0
    while fruitless < FRUITLESS and len(prompts := promising.next()):
        for tile, found in ask_all(decoder, workers, points_xy[prompts], lambda _, count: advance(0, count)):
            promising.learn(prompts[: len(tile)], found)
            prompts = prompts[len(tile) :]
            yield tile, found
        fruitless = 0 if promising.masks > masks else fruitless + 1
        masks = promising.masks


def _looked_at(
    decoder: CropDecoder,
    workers: Workers[CropDecoder],
    points_xy: np.ndarray,
    advance: Callable[[int], None],
) -> Estimates:
    """The estimates of all points that are not explained."""
    assert decoder.coarse is not None
    side, size = round(len(points_xy) ** 0.5), decoder.tile_size(coarse=True)
    every = decoder.coarse.hw != decoder.points.hw or not _is_grid(decoder, points_xy, side)
    shares = points_xy / np.array(decoder.crop.hw)[::-1]
    explained, done = Explained(), 0
    parts: list[tuple[np.ndarray, Estimates]] = []
    for stride, numbers in [(1, np.arange(len(points_xy)))] if every else rounds(side):
        if parts:
            numbers = numbers[~explained.holds(shares[numbers], stride / side)]
        tiles = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        looks = workers.map(estimated, [points_xy[tile] for tile in tiles])
        for tile, seen in zip(tiles, looks, strict=True):
            explained.add(shares[tile], seen)
            parts.append((tile, seen))
            advance(len(tile))
        done += len(numbers)
    advance(len(points_xy) - done)
    return Estimates.joined(parts)


def _is_grid(decoder: CropDecoder, points_xy: np.ndarray, side: int) -> bool:
    """Whether the points are all of a regular grid: not of somebody's own, none left out."""
    return np.array_equal(points_xy, points_in(decoder.crop, point_grid(side)))
