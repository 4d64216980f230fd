"""Scenes in tiles: flags, what is kept while one is worked on, and pictures of what is too large to draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import InputError
from ...everything.open_ends import asking
from ...everything.scene import Say, SceneMasks, segment_scene
from ...everything.tiles import Tiling
from ...formats import PhotoMasks
from ...formats.landing import landing, remove
from ...masks.rle import Rle, column_runs, encode_at
from ...maskset import Mask, MaskSet
from ...media.rasters import Pixels
from ...media.scenes import LARGE, Scene, is_large, open_scene, sampled
from ..shared.flags import flag
from ..shared.outputs import CUTOUTS, Outputs, save_picture

PICTURE_SIDE = 4096
"""Overlays of large scenes are drawn so large."""
FOR_SCENES = ("coco", "parquet", "geojson", "geopackage", "amg-rle", "sa1b", "overlay", "cutouts")
"""Outputs that are written mask by mask, whatever the size of the scene."""


@dataclass(frozen=True)
class Tiles:
    """Raises :class:`OptionError` for sizes that leave no room."""

    PANEL: ClassVar[str] = "Tiles"

    tile: int | None = flag(
        None,
        "Segment in tiles of so many pixels a side and join what crosses them; rasters of more than "
        "100 megapixels: 1024.",
        metavar="PX",
    )
    tile_overlap: int | None = flag(
        None, "What neighbouring tiles share; default an eighth of a tile.", metavar="PX"
    )

    def __post_init__(self) -> None:
        self._tiling()

    def _tiling(self) -> Tiling:
        return Tiling(Tiling.side if self.tile is None else self.tile, self.tile_overlap)

    @property
    def settings(self) -> dict[str, int]:
        """What masks depend on, of what was asked for."""
        asked = {"tile": self.tile, "tile_overlap": self.tile_overlap}
        return {name: value for name, value in asked.items() if value is not None}

    def of(self, path: Path) -> Tiling | None:
        """How a picture is cut; None for one that is worked on as a whole."""
        return self._tiling() if self.tile is not None or is_large(path) else None


def too_large(photo_hw: tuple[int, int]) -> bool:
    """Whether pictures of this size are never held as a whole."""
    return photo_hw[0] * photo_hw[1] > LARGE


def check_outputs(outputs: Outputs, scene_hw: tuple[int, int]) -> None:
    """Raise :class:`InputError` for an output that holds a whole picture, where that is too large."""
    named = [*outputs.per_photo, *(format_.name for format_ in outputs.per_run)]
    wrong = [name for name in named if name not in FOR_SCENES]
    if wrong and too_large(scene_hw):
        raise InputError(
            f"{wrong[0]} holds whole pictures, and this one has {scene_hw[1]} x {scene_hw[0]} pixels; "
            f"write one of {', '.join(FOR_SCENES)}"
        )


@dataclass(frozen=True)
class SceneWork:
    """One scene in tiles, its folder of finished tiles, and the file they come from."""

    scene: Scene
    folder: Path
    tiling: Tiling

    def masks(self, segmenter: Any, say: Say) -> SceneMasks:
        """The masks; tiles that are in the folder are not done again."""

        def segment(photo: np.ndarray, valid: np.ndarray | None) -> MaskSet:
            return segmenter(photo, lambda done, total: None, valid)

        ask = asking(segmenter.model)
        return segment_scene(self.scene, segment, self.folder, self.tiling, say, ask)

    def done(self) -> None:
        """The tiles are not needed any more."""
        remove(self.folder)


@contextmanager
def opened(path: Path, folder: Path, tiling: Tiling, reading: dict[str, Any]) -> Iterator[SceneWork]:
    """A scene while it is worked on; ``folder`` is its own and that of these settings."""
    scene = open_scene(path, **reading)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield SceneWork(scene, folder, tiling)
    finally:
        scene.close()


def reduced(record: PhotoMasks, scene: Scene) -> tuple[PhotoMasks, Pixels]:
    """A scene small enough to draw, and its masks as large."""
    picture = scene.overview(PICTURE_SIDE)
    hw = picture.values.shape[0], picture.values.shape[1]
    masks = [mask.replace(rle=reduced_runs(mask.runs, hw)) for mask in record.masks]
    return replace(record, masks=MaskSet(masks, hw, valid=picture.valid)), picture


def reduced_runs(runs: Rle, hw: tuple[int, int]) -> Rle:
    """A mask at fewer pixels: those nearest to their middles.

    >>> from ...masks.rle import decode, encode
    >>> decode(reduced_runs(encode(np.ones((4, 6), bool)), (2, 3))).sum()
    np.int64(6)
    """
    rows, columns = (sampled(length, count) for length, count in zip(runs.size, hw, strict=True))
    column, top, bottom = column_runs(runs)
    place = np.searchsorted(columns, column)  # of the first sampled column that is not left of the run's
    taken = columns[np.minimum(place, hw[1] - 1)] == column
    x, first, last = place[taken], np.searchsorted(rows, top[taken]), np.searchsorted(rows, bottom[taken])
    if not (first < last).any():
        return Rle(hw, np.array([hw[0] * hw[1]]))
    left, above = int(x.min()), int(first.min())
    small = np.zeros((int(x.max()) + 1 - left, int(last.max()) - above), bool)  # of the mask's own box
    for each, y0, y1 in zip(
        (x - left).tolist(), (first - above).tolist(), (last - above).tolist(), strict=True
    ):
        small[each, y0:y1] = True
    return encode_at(small, (left, above), hw)


def write_cutouts(
    outputs: Outputs, key: str, masks: MaskSet, scene: Scene, scratch: Path
) -> list[tuple[int, int]]:
    """Each object of a scene alone, read window by window.

    Returns the numbers of objects whose boxes are too large for a picture, and have none, with their pixels.
    """
    path, without = outputs.path_of(CUTOUTS, key, masks.photo_hw), []
    with landing(path, scratch) as temporary:
        temporary.mkdir()
        for number, mask in enumerate(masks, 1):
            rows, columns = mask.extent
            if not mask.area:
                continue
            hw = rows.stop - rows.start, columns.stop - columns.start
            if too_large(hw):
                without.append((number, hw[0] * hw[1]))
                continue
            window = scene.read((columns.start, rows.start, columns.stop, rows.stop))
            piece = outputs.look.cutout_of(window.values, Mask.from_segmentation(mask.crop()))
            save_picture(temporary / f"{number}.png", piece)
    return without
