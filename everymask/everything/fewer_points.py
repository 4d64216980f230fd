"""The ``fast`` effort: the masks of all points, or nearly, from fewer of them.

Two ways, by what a look at a point costs. Where the image has many tokens, as with all official models, a
coarse pass over all points tells which of them are worth decoding (:mod:`coarse_pass`). With few tokens
nothing is cheaper than decoding itself, and grids are asked from coarse to fine, leaving out points that
those around them explain (:mod:`explained`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from everymask.everything.candidates import Candidate, CropDecoder, candidates
from everymask.everything.coarse_pass import Estimates, Promising, estimated
from everymask.everything.explained import Explained
from everymask.everything.grid import rounds
from everymask.everything.workers import Workers

Decoded = tuple[np.ndarray, list[Candidate]]


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
    """Tiles of those points that are worth asking; points that need not be asked count as done, too."""
    if decoder.coarse is not None:
        return _ask_promising(decoder, workers, points_xy, advance)
    if decoder.options.point_grids is not None:
        return ask_all(decoder, workers, points_xy, advance)
    return _ask_unexplained(decoder, workers, points_xy, advance)


def _ask_promising(
    decoder: CropDecoder,
    workers: Workers[CropDecoder],
    points_xy: np.ndarray,
    advance: Callable[[int, int], None],
) -> Iterator[Decoded]:
    size = decoder.tile_size(coarse=True)
    starts = range(0, len(points_xy), size)
    tiles = [points_xy[start : start + size] for start in starts]
    estimates = []
    for start, tile, guessed in zip(starts, tiles, workers.map(estimated, tiles), strict=True):
        estimates.append((start, guessed))
        advance(len(tile), 0)
    promising = Promising(Estimates.joined(estimates), len(points_xy), decoder.options.box_nms_thresh)
    while len(prompts := promising.next()):
        for tile, masks in ask_all(decoder, workers, points_xy[prompts], lambda _, found: advance(0, found)):
            promising.learn(prompts[: len(tile)], masks)
            prompts = prompts[len(tile) :]
            yield tile, masks


def _ask_unexplained(
    decoder: CropDecoder,
    workers: Workers[CropDecoder],
    points_xy: np.ndarray,
    advance: Callable[[int, int], None],
) -> Iterator[Decoded]:
    side = round(len(points_xy) ** 0.5)
    explained, done = Explained(decoder), 0
    for stride, indices in rounds(side):
        asked = points_xy[indices]
        if done:
            step_xy = np.array(decoder.crop.hw)[::-1] / side * stride
            asked = asked[~explained.holds(asked, step_xy)]
        for tile, found in ask_all(decoder, workers, asked, advance):
            explained.add(tile, found)
            yield tile, found
        done += len(asked)
    advance(len(points_xy) - done, 0)
