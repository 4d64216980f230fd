"""A scene cut into overlapping tiles, and masks of tiles as masks of the scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from everymask.errors import OptionError
from everymask.everything.grid import Crop
from everymask.masks.rle import encode_at, union
from everymask.maskset import Mask

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


def across(tiles: Sequence[Crop]) -> int:
    """How many tiles a row has."""
    return next((n for n, tile in enumerate(tiles) if tile.y0 != tiles[0].y0), len(tiles))


def around(number: int, tiles: Sequence[Crop]) -> list[int]:
    """The tiles that share pixels with one, itself excluded."""
    one, width = tiles[number], across(tiles)
    row, column = divmod(number, width)
    near = [
        (row + down) * width + column + right
        for down in range(-2, 3)
        for right in range(-2, 3)
        if 0 <= column + right < width and 0 <= row + down < len(tiles) // width
    ]
    return [other for other in near if other != number and shared_box(one, tiles[other]) is not None]


def neighbours(tiles: Sequence[Crop]) -> Iterator[tuple[int, int]]:
    """Every two tiles that share pixels, once, the earlier one first."""
    for number in range(len(tiles)):
        yield from ((number, other) for other in around(number, tiles) if other > number)


def shared_box(a: Crop, b: Crop) -> tuple[int, int, int, int] | None:
    """The box that two tiles share, maximum edges exclusive."""
    box = max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1)
    return box if box[0] < box[2] and box[1] < box[3] else None


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
