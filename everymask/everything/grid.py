"""Where everything mode looks: crops of the photo, and the points it asks about in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from everymask.everything.options import GeneratorOptions


@dataclass(frozen=True)
class Crop:
    """A window of the photo, in pixels; maximum edges exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int  # 0: the whole photo
    rendition: str | None = None  # of the photo; None where there is only the photo as it is

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        return self.x0, self.y0, self.x1, self.y1

    @property
    def xywh(self) -> tuple[int, int, int, int]:
        return self.x0, self.y0, self.x1 - self.x0, self.y1 - self.y0

    @property
    def area(self) -> int:
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    @property
    def window(self) -> Crop:
        """The same window of the photo as it is."""
        return replace(self, rendition=None)

    def of(self, photo: np.ndarray) -> np.ndarray:
        """The window of a photo [H, W, 3], a view."""
        return photo[self.y0 : self.y1, self.x0 : self.x1]


def crops(photo_hw: tuple[int, int], n_layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole photo, then 4 crops of it, 16, and so on for ``n_layers`` layers, column by column.

    Answers to ``generate_crop_boxes`` of segment-anything, rounding included.

    >>> [c.xyxy for c in crops((100, 200), 1, 0.1)]
    [(0, 0, 200, 100), (0, 0, 105, 55), (0, 45, 105, 100), (95, 0, 200, 55), (95, 45, 200, 100)]
    """
    height, width = photo_hw
    found = [Crop(0, 0, width, height, 0)]
    for layer in range(1, n_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_width, crop_height = (_crop_length(side, per_side, overlap) for side in (width, height))
        lefts = [(crop_width - overlap) * i for i in range(per_side)]
        tops = [(crop_height - overlap) * i for i in range(per_side)]
        for x0, y0 in product(lefts, tops):
            found.append(Crop(x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height), layer))
    # A photo of a few pixels has no room for so many crops: some would be empty.
    return [c for c in found if c.x0 < c.x1 and c.y0 < c.y1]


def _crop_length(side: int, per_side: int, overlap: int) -> int:
    return math.ceil((overlap * (per_side - 1) + side) / per_side)


def point_grid(points_per_side: int) -> np.ndarray:
    """Points in the centres of n x n equal cells, as shares of the sides, float64 [n * n, 2], row by row.

    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    offset = 1 / (2 * points_per_side)
    side = np.linspace(offset, 1 - offset, points_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def rounds(points_per_side: int) -> list[tuple[int, np.ndarray]]:
    """Grids of a grid's points from coarse to fine, as indices, each with how far apart its neighbours are.

    Every fourth point, then every second, then those diagonally between; half of the points in all. Small
    grids are one round of all points.

    >>> [(stride, len(indices)) for stride, indices in rounds(8)]
    [(4, 4), (4, 12), (2, 16)]
    """
    row, column = np.divmod(np.arange(points_per_side**2), points_per_side)
    if points_per_side < 5:
        return [(1, np.arange(len(row)))]
    fourth = (row % 4 == 2) & (column % 4 == 2)
    second = (row % 2 == 0) & (column % 2 == 0)
    between = (row % 2 == 1) & (column % 2 == 1)
    grids = (4, fourth), (4, second & ~fourth), (2, between)
    return [(stride, np.flatnonzero(marks)) for stride, marks in grids]


def grids(options: GeneratorOptions) -> Sequence[np.ndarray]:
    """The points of each crop layer, as shares of a crop's sides, [N, 2] each."""
    if options.point_grids is not None:
        return [np.asarray(g, np.float64) for g in options.point_grids]
    assert options.points_per_side is not None  # the options check it
    factor = options.crop_n_points_downscale_factor
    # A factor that leaves no point at all keeps one in the middle.
    return [
        point_grid(max(1, int(options.points_per_side / factor**layer)))
        for layer in range(options.crop_n_layers + 1)
    ]


def points_in(crop: Crop, grid: np.ndarray) -> np.ndarray:
    """A grid's points in pixels of the crop, float64 [N, 2]."""
    height, width = crop.hw
    return grid * np.array([[width, height]])


def on_data(crop: Crop, points_xy: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Those of a crop's points [N, 2] that lie on pixels with data; ``valid`` bool [H, W] of the photo.

    >>> on_data(Crop(0, 0, 2, 1, 0), np.array([[0.5, 0.5], [1.5, 0.5]]), np.array([[True, False]])).tolist()
    [[0.5, 0.5]]
    """
    if valid is None:
        return points_xy
    inside = crop.of(valid)
    columns, rows = points_xy.astype(np.int64).clip(0, np.array(crop.hw)[::-1] - 1).T
    return points_xy[inside[rows, columns]]
