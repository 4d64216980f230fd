"""Everything mode on a scene of any size: tile by tile, each kept on disk, then seams resolved.

At no time is more in memory than one tile's pixels, the masks of a few rows of tiles and some numbers a mask.
A tile that was done is not done again: a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from everymask.everything.grid import Crop
from everymask.everything.tiles import Seams, Tiling, resolve, whole_mask
from everymask.formats.landing import landing
from everymask.formats.mask_store import StoredMasks, read_header, write_store
from everymask.maskset import Mask, MaskSet
from everymask.media.scenes import LARGE, Scene

COLOURS = 64
"""Tiles of one colour are alike: of so many colours the answer is remembered."""


class Segment(Protocol):
    """Finds the masks of a tile."""

    def __call__(self, photo: np.ndarray, valid: np.ndarray | None) -> MaskSet:
        """``photo`` is RGB uint8 [h, w, 3], ``valid`` where it has data, None: everywhere."""


@dataclass(frozen=True)
class TileProgress:
    """How far a scene is."""

    done: int
    tiles: int
    masks: int  # so far, before seams are resolved
    left_out: int  # tiles without data


@dataclass(frozen=True)
class SceneMasks:
    """The masks of a scene, and how they came about."""

    masks: MaskSet
    """Read from the file of the run when they are asked for, in the order of the tiles."""
    tiles: int
    left_out: int
    """Tiles without data."""
    joined: int
    """Objects put together from several tiles."""

    def __str__(self) -> str:
        told = [f"{self.tiles:,} tiles"]
        told += [f"{self.left_out:,} without data"] * bool(self.left_out)
        told += [f"{self.joined:,} objects joined across tiles"] * bool(self.joined)
        return ", ".join(told)


def segment_scene(
    scene: Scene,
    segment: Segment,
    folder: Path,
    tiling: Tiling = Tiling(),
    progress: Callable[[TileProgress], None] | None = None,
) -> SceneMasks:
    """The masks of a scene, kept in ``folder``; what an earlier call left there is not done again.

    The folder belongs to one scene, one ``segment`` and one tiling. Objects no larger than the overlap come
    out as ``segment`` finds them in a tile; larger ones are joined (see :mod:`everymask.everything.tiles`).
    """
    tiles = tiling.tiles(scene.hw)
    counts, left_out = [], 0
    ask = _OnceForEachColour(segment)
    for number, tile in enumerate(tiles):
        path = _tile_path(folder, number)
        if not path.exists():
            _do(scene, ask, tile, path, folder)
        header = read_header(path)
        counts.append(int(header["masks"]))
        left_out += header["left_out"]
        if progress is not None:
            progress(TileProgress(number + 1, len(tiles), sum(counts), left_out))
    across = sum(tile.y0 == tiles[0].y0 for tile in tiles)

    @lru_cache(maxsize=3 * across + 3)  # the tiles around one, and those on the way to the next row
    def masks_of(number: int) -> MaskSet:
        stored = StoredMasks(_tile_path(folder, number))
        return MaskSet(stored, stored.photo_hw)

    seams = resolve(tiles, masks_of, scene.hw, tiling.near)
    target = folder / "scene.jsonl"
    with landing(target) as temporary:
        write_store(temporary, {"photo_hw": scene.hw}, _objects(seams, counts, tiles, masks_of, scene.hw))
    height, width = scene.hw
    valid = scene.read((0, 0, width, height)).valid if height * width <= LARGE and left_out else None
    masks = MaskSet.read_when_asked(StoredMasks(target), scene.hw, valid)
    return SceneMasks(masks, len(tiles), left_out, len(seams.joined))


def _tile_path(folder: Path, number: int) -> Path:
    return folder / f"tile-{number:06d}.jsonl"


def _do(scene: Scene, segment: Segment, tile: Crop, path: Path, folder: Path) -> None:
    """Segment a tile and keep its masks, whole or not at all."""
    pixels = scene.read(tile.xyxy)
    empty = pixels.valid is not None and not pixels.valid.any()
    masks = MaskSet([], tile.hw) if empty else segment(pixels.values, pixels.valid)
    header: dict[str, Any] = {"photo_hw": tile.hw, "masks": len(masks), "left_out": empty}
    with landing(path, folder) as temporary:
        write_store(temporary, header, masks)


class _OnceForEachColour:
    """Answers for tiles of one colour (water, the ground of a slide) as for the first of them."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._known: dict[tuple[int, ...], MaskSet] = {}

    def __call__(self, photo: np.ndarray, valid: np.ndarray | None) -> MaskSet:
        if valid is not None or (photo != photo[0, 0]).any():
            return self._segment(photo, valid)
        key = (*photo.shape[:2], *photo[0, 0].tolist())
        if key not in self._known:
            if len(self._known) == COLOURS:
                self._known.clear()
            self._known[key] = self._segment(photo, None)
        return self._known[key]


def _objects(
    seams: Seams,
    counts: list[int],
    tiles: list[Crop],
    masks_of: Callable[[int], MaskSet],
    scene_hw: tuple[int, int],
) -> Iterator[Mask]:
    for places in seams.objects(counts):
        pieces = [masks_of(tile)[number] for tile, number in places]
        yield whole_mask(places, tiles, pieces, scene_hw)
