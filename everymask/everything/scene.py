"""Everything mode on a scene of any size: tile by tile, each kept on disk, then seams resolved.

At no time is more in memory than one tile's pixels, the masks of a few rows of tiles and some numbers a mask.
A tile that was done is not done again: a run that was stopped goes on. Where an object ends at a tile's
border because the next tile has no mask of it, that one is asked once more
(:mod:`everymask.everything.open_ends`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from everymask.everything.grid import Crop
from everymask.everything.open_ends import Answers, AskAt, Piece, answers
from everymask.everything.seams import End, Seams, Views
from everymask.everything.tiles import Place, Tiling, across, whole_mask
from everymask.formats.landing import landing
from everymask.formats.mask_store import StoredMasks, read_header, write_store
from everymask.maskset import Mask, MaskSet
from everymask.media.scenes import LARGE, Scene

COLOURS = 64
"""Tiles of one colour are alike: of so many colours the answer is remembered."""
ROUNDS = 8
"""Tiles in a row that an object is followed through which everything mode did not see it in."""
SEGMENTED, COMPARED, ASKED, WRITTEN = (
    "tiles",
    "comparing neighbours across seams",
    "asking tiles again across seams",
    "joining what crosses seams",
)
"""The steps of a scene."""

Say = Callable[["TileProgress"], None]


class Segment(Protocol):
    """Finds the masks of a tile."""

    def __call__(self, photo: np.ndarray, valid: np.ndarray | None) -> MaskSet:
        """``photo`` is RGB uint8 [h, w, 3], ``valid`` where it has data, None: everywhere."""


@dataclass(frozen=True)
class TileProgress:
    """How far a scene is: its steps follow each other, some of them more than once."""

    done: int
    total: int
    """Of this step: tiles, or pairs of neighbours that are compared."""
    masks: int
    """So far, before seams are resolved."""
    left_out: int
    """Tiles without data."""
    step: str = SEGMENTED
    round: int = 0
    """Of tiles that are asked again, from 1."""

    @property
    def doing(self) -> str:
        """The step in words."""
        return self.step + (f", round {self.round}" if self.round else "")


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
    asked_again: int = 0
    """Masks from tiles that were asked again, because a neighbour's object ended at them."""

    def __str__(self) -> str:
        told = [f"{self.tiles:,} tiles"]
        told += [f"{self.left_out:,} without data"] * bool(self.left_out)
        told += [f"{self.joined:,} objects joined across tiles"] * bool(self.joined)
        told += [f"{self.asked_again:,} pieces from tiles that were asked again"] * bool(self.asked_again)
        return ", ".join(told)


def segment_scene(
    scene: Scene,
    segment: Segment,
    folder: Path,
    tiling: Tiling = Tiling(),
    progress: Say | None = None,
    ask: AskAt | None = None,
) -> SceneMasks:
    """The masks of a scene, kept in ``folder``; what an earlier call left there is not done again.

    The folder belongs to one scene, one ``segment`` and one tiling. Objects no larger than the overlap come
    out as ``segment`` finds them in a tile; larger ones are joined (see :mod:`everymask.everything.tiles`).
    With ``ask``, tiles that miss a part of them are asked about it.
    """
    tiles = tiling.tiles(scene.hw)
    say = _Saying(progress)
    segment_tile = _OnceForEachColour(segment)
    for number, tile in enumerate(tiles):
        path = _tile_path(folder, number)
        if not path.exists():
            _do(scene, segment_tile, tile, path, folder)
        header = read_header(path)
        say.tile(number + 1, len(tiles), header)
    kept = _KeptMasks(folder, tiles)
    views = Views(tiles, kept.of, scene.hw, tiling.near, say.compared)
    if ask is not None:
        _follow(views, kept, scene, ask, say)
    seams = views.seams()
    target = folder / "scene.jsonl"
    with landing(target) as temporary:
        write_store(temporary, {"photo_hw": scene.hw}, _objects(seams, kept, tiles, scene.hw, say))
    height, width = scene.hw
    valid = scene.read((0, 0, width, height)).valid if height * width <= LARGE and say.left_out else None
    masks = MaskSet.read_when_asked(StoredMasks(target), scene.hw, valid)
    return SceneMasks(masks, len(tiles), say.left_out, len(seams.joined), kept.asked_again)


class _Saying:
    """Counts what tiles gave, and tells of every step."""

    def __init__(self, progress: Say | None) -> None:
        self.masks = self.left_out = 0
        self._progress = progress

    def tile(self, done: int, tiles: int, header: Mapping[str, Any]) -> None:
        """A tile is there."""
        self.masks += header["masks"]
        self.left_out += header["left_out"]
        self(done, tiles)

    def compared(self, done: int, pairs: int) -> None:
        """Two neighbours were compared."""
        self(done, pairs, COMPARED)

    def __call__(self, done: int, total: int, step: str = SEGMENTED, round: int = 0) -> None:
        if self._progress is not None:
            self._progress(TileProgress(done, total, self.masks, self.left_out, step, round))


def scene_masks(
    scene: Scene,
    segment: Segment,
    tiling: Tiling = Tiling(),
    progress: Say | None = None,
    ask: AskAt | None = None,
) -> MaskSet:
    """The masks of :func:`segment_scene` in memory, nothing kept on disk; the scene is closed."""
    try:
        with tempfile.TemporaryDirectory(prefix="everymask-") as folder:
            found = segment_scene(scene, segment, Path(folder), tiling, progress, ask)
            return MaskSet(found.masks, scene.hw, valid=found.masks.valid)
    finally:
        scene.close()


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


class _KeptMasks:
    """The masks of each tile: those of everything mode, then those that it gave when asked again."""

    def __init__(self, folder: Path, tiles: Sequence[Crop]) -> None:
        self.folder, self.tiles = folder, tiles
        self.asked_again = 0
        self._files = [[_tile_path(folder, number)] for number in range(len(tiles))]
        # Held: the tiles around one, and those on the way to the next row.
        self.of = lru_cache(maxsize=3 * across(tiles) + 3)(self._of)

    def add(self, further: Mapping[int, Path]) -> None:
        """Take in what tiles gave when they were asked again."""
        for number, path in further.items():
            self._files[number].append(path)
            self.asked_again += read_header(path)["masks"]
        self.of.cache_clear()

    def count(self, number: int) -> int:
        """How many masks a tile has."""
        return sum(int(read_header(path)["masks"]) for path in self._files[number])

    def _of(self, number: int) -> MaskSet:
        stored = [StoredMasks(path) for path in self._files[number]]
        masks = stored[0] if len(stored) == 1 else [mask for each in stored for mask in each]
        return MaskSet(masks, stored[0].photo_hw)


def _follow(views: Views, kept: _KeptMasks, scene: Scene, ask: AskAt, say: _Saying) -> None:
    """Ask the tiles beyond open ends, and those beyond the ends of what they answer; each end once."""
    asked: set[End] = set()
    for round_ in range(ROUNDS):
        by_tile: dict[int, list[End]] = {}
        for end in views.open_ends():
            if end not in asked:
                by_tile.setdefault(end.beyond, []).append(end)
        asked.update(chain.from_iterable(by_tile.values()))
        further: dict[int, Path] = {}
        dropped: list[Place] = []
        for done, (number, ends) in enumerate(sorted(by_tile.items()), 1):
            path = kept.folder / f"again-{round_}-{number:06d}.jsonl"
            if not path.exists():
                _ask_again(views, kept, scene, ask, number, ends, path)
            header = read_header(path)
            if header["masks"]:
                further[number] = path
                dropped += [(number, k) for k in header["instead_of"]]
            say(done, len(by_tile), ASKED, round_ + 1)
        if not further:
            return
        kept.add(further)
        views.look_again(further, dropped)


def _ask_again(
    views: Views, kept: _KeptMasks, scene: Scene, ask: AskAt, number: int, ends: Sequence[End], path: Path
) -> None:
    """Keep what a tile says of the ends at its border, whole or not at all."""
    tile = kept.tiles[number]
    pixels = scene.read(tile.xyxy)
    found = Answers()
    if not _is_plain(pixels.values) and (pixels.valid is None or pixels.valid.any()):
        pieces = [Piece(*views.piece(end), kept.of(end.place[0])[end.place[1]]) for end in ends]
        found = answers(ask, pixels.values, pixels.valid, pieces, kept.of(number))
    header = {"photo_hw": tile.hw, "masks": len(found.masks), "instead_of": found.instead_of}
    with landing(path, kept.folder) as temporary:
        write_store(temporary, header, found.masks)


def _is_plain(photo: np.ndarray) -> bool:
    """Whether a tile is of one colour."""
    return not (photo != photo[0, 0]).any()


class _OnceForEachColour:
    """Answers for tiles of one colour (water, the ground of a slide) as for the first of them."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._known: dict[tuple[int, ...], MaskSet] = {}

    def __call__(self, photo: np.ndarray, valid: np.ndarray | None) -> MaskSet:
        if valid is not None or not _is_plain(photo):
            return self._segment(photo, valid)
        key = (*photo.shape[:2], *photo[0, 0].tolist())
        if key not in self._known:
            if len(self._known) == COLOURS:
                self._known.clear()
            self._known[key] = self._segment(photo, None)
        return self._known[key]


def _objects(
    seams: Seams, kept: _KeptMasks, tiles: Sequence[Crop], scene_hw: tuple[int, int], say: _Saying
) -> Iterator[Mask]:
    for places in seams.objects([kept.count(number) for number in range(len(tiles))]):
        say(places[0][0] + 1, len(tiles), WRITTEN)
        pieces = [kept.of(tile)[number] for tile, number in places]
        yield whole_mask(places, tiles, pieces, scene_hw)
