"""Objects that end at a tile's border because the tile beyond has no mask of them: it is asked again.

Everything mode asks a tile at points of a grid. Where a neighbour says that an object goes on, points are
known that lie on it: the innermost ones of the strip that both tiles see. What the model answers there is
taken if it agrees with the neighbour in that strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from everymask.everything.seams import DOUBLE, SAME
from everymask.masks.innermost import innermost_points
from everymask.masks.rle import decode_box
from everymask.maskset import Mask, MaskSet

POINTS = 4
"""Points that an end is asked about, the innermost first."""


class AskAt(Protocol):
    """Says what is at points of a tile."""

    def __call__(self, photo: np.ndarray, valid: np.ndarray | None, points_xy: np.ndarray) -> MaskSet:
        """All that the model answers; ``photo`` is RGB uint8 [h, w, 3], points [N, 2] are pixels (x, y),
        ``valid`` is where it has data, None: everywhere."""


@dataclass(frozen=True)
class Piece:
    """What a neighbour says of a strip that this tile sees too."""

    strip: tuple[int, int, int, int]
    """x0, y0, x1, y1 in this tile's pixels."""
    pixels: np.ndarray
    """bool [h, w] of the strip."""
    mask: Mask
    """Which it is a piece of."""


@dataclass(frozen=True)
class Answers:
    """The further masks of a tile, and the numbers of those whose place they take."""

    masks: tuple[Mask, ...] = ()
    instead_of: tuple[int, ...] = ()


def asking(model: Any, options: dict[str, Any] | None = None) -> AskAt:
    """A model as what is asked; ``options`` are further ones of everything mode."""
    from everymask.everything.generate import AutomaticMaskGenerator

    def ask(photo: np.ndarray, valid: np.ndarray | None, points_xy: np.ndarray) -> MaskSet:
        height, width = photo.shape[:2]
        everything = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
        grid = {"points_per_side": None, "point_grids": [(points_xy + 0.5) / (width, height)]}
        return AutomaticMaskGenerator(model, **grid, **everything, **(options or {})).generate(
            photo, valid=valid
        )

    return ask


def answers(
    ask: AskAt, photo: np.ndarray, valid: np.ndarray | None, pieces: Sequence[Piece], there: MaskSet
) -> Answers:
    """What a tile says of pieces whose objects go on in it; nothing of a piece that no answer agrees with.

    ``there`` are the masks that it has. An answer that is nearly one of them takes its place.
    """
    points = [_points(piece, valid) for piece in pieces]
    if not sum(map(len, points)):
        return Answers()
    candidates = ask(photo, valid, np.concatenate(points)).sorted_by("predicted_iou")
    taken: list[Mask] = []
    instead_of: set[int] = set()
    for piece in pieces:
        found = next((each for each in candidates if _agrees(each, piece)), None)
        if found is None or any(_iou(found, other) > DOUBLE for other in taken):
            continue
        instead_of.update(k for k, other in enumerate(there) if _iou(found, other) > DOUBLE)
        taken.append(found.replace(label=piece.mask.label, attributes=piece.mask.attributes))
    return Answers(tuple(taken), tuple(sorted(instead_of)))


def _points(piece: Piece, valid: np.ndarray | None) -> np.ndarray:
    """Points on a piece, [N, 2] in the tile's pixels."""
    x0, y0, x1, y1 = piece.strip
    inside = piece.pixels if valid is None else piece.pixels & valid[y0:y1, x0:x1]
    return innermost_points(inside, POINTS) + np.array([x0, y0])


def _agrees(mask: Mask, piece: Piece) -> bool:
    pixels = decode_box(mask.runs, piece.strip)
    return bool((pixels & piece.pixels).sum() > SAME * (pixels | piece.pixels).sum())


def _iou(one: Mask, other: Mask) -> float:
    a, b = one.segmentation, other.segmentation
    return float((a & b).sum() / max(1, (a | b).sum()))
