"""Holes and islands of many masks at once, found once and taken out for any area.

What :func:`everymask.masks.regions.clean_logits` does mask by mask and area by area.

Letters used in shapes: m masks, h x w logits, n components, p pixels of small components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from everymask.masks.regions import BEYOND


@dataclass(frozen=True)
class Specks:
    """The components of m masks, islands and holes, and the pixels of the small ones."""

    mask: np.ndarray  # int64 [n] ascending within a part
    hole: np.ndarray  # bool [n]
    area: np.ndarray  # int64 [n] logits
    box: np.ndarray  # int64 [n, 4] xyxy logits, edges inclusive
    pixel_mask: np.ndarray  # int64 [p] ascending within a part
    pixel_place: np.ndarray  # int64 [p]: y * w + x
    pixel_area: np.ndarray  # int64 [p] of the component that it belongs to
    pixel_hole: np.ndarray  # bool [p]
    doubt: (
        np.ndarray
    )  # int64 [m, 4] xyxy of logits so near the threshold that rounding matters; inside out: none

    def renumbered(self, numbers: np.ndarray) -> Specks:
        """The same, of the masks with these numbers."""
        return replace(self, mask=numbers[self.mask], pixel_mask=numbers[self.pixel_mask])

    def by_mask(self) -> Specks:
        """The same, components and pixels each in the order of the masks."""
        components, pixels = (np.argsort(each, kind="stable") for each in (self.mask, self.pixel_mask))
        return Specks(
            self.mask[components],
            self.hole[components],
            self.area[components],
            self.box[components],
            self.pixel_mask[pixels],
            self.pixel_place[pixels],
            self.pixel_area[pixels],
            self.pixel_hole[pixels],
            self.doubt,
        )

    @classmethod
    def joined(cls, parts: Sequence[Specks]) -> Specks:
        """All of these, one after the other."""
        return cls(
            **{each.name: np.concatenate([getattr(p, each.name) for p in parts]) for each in fields(cls)}
        )


def find_specks(logits: np.ndarray, threshold: float, tolerance: np.ndarray, most: int) -> Specks:
    """The components of masks, of float32 [m, h, w] above ``threshold``, and pixels of those up to ``most``.

    ``tolerance`` [m] is how near the threshold rounding matters.

    >>> logits = np.full((1, 3, 4), 5.0, np.float32)
    >>> logits[0, 1, 1] = -5.0
    >>> found = find_specks(logits, 0.0, np.zeros(1, np.float32), 1)
    >>> found.area.tolist(), found.hole.tolist(), found.pixel_place.tolist()
    ([11, 1], [False, True], [5])
    """
    import cv2

    count, height, width = logits.shape
    assert count, "OpenCV crashes on pictures without pixels"
    inside = logits > np.float32(threshold)
    components, pixels = [], []
    for holes in (False, True):
        tall = np.zeros((count, height + 1, width), np.uint8)  # a line between masks keeps them apart
        tall[:, :height] = ~inside if holes else inside
        _, labels, stats, _ = cv2.connectedComponentsWithStats(tall.reshape(-1, width), connectivity=8)
        stats = stats[1:].astype(np.int64)
        area = stats[:, cv2.CC_STAT_AREA]
        mask, top = np.divmod(stats[:, cv2.CC_STAT_TOP], height + 1)
        left = stats[:, cv2.CC_STAT_LEFT]
        right = left + stats[:, cv2.CC_STAT_WIDTH] - 1
        bottom = top + stats[:, cv2.CC_STAT_HEIGHT] - 1
        components.append(
            (mask, np.full(len(mask), holes), area, np.stack([left, top, right, bottom], axis=1))
        )
        small = np.append(False, area <= most)
        label: np.ndarray = labels.reshape(-1)
        at = np.flatnonzero(small[label])
        of, place = np.divmod(at, (height + 1) * width)
        areas = area[label[at] - 1]
        pixels.append((of, place, areas, np.full(len(at), holes)))
    doubt = np.tile(np.array([width, height, -1, -1]), (count, 1))
    near = (logits > (threshold - tolerance)[:, None, None]) != inside
    if near.any():
        of, y, x = np.nonzero(near)
        for side, place in ((0, x), (1, y)):
            np.minimum.at(doubt[:, side], of, place)
            np.maximum.at(doubt[:, side + 2], of, place)
    mask, hole, area, box = (np.concatenate(part) for part in zip(*components, strict=True))
    pixel_mask, pixel_place, pixel_area, pixel_hole = (
        np.concatenate(part) for part in zip(*pixels, strict=True)
    )
    return Specks(mask, hole, area, box, pixel_mask, pixel_place, pixel_area, pixel_hole, doubt)


class SpeckStore:
    """The specks of candidates, each found when it is first asked for.

    ``threshold`` is where components are looked for, ``most`` the largest area that they are kept for.
    """

    def __init__(self, threshold: float, most: int) -> None:
        self.threshold, self.most = threshold, most
        self._place = np.zeros(0, np.int64)  # of each candidate among those known, -1 if it is not
        self._known = 0
        self._specks: Specks | None = None
        self._components: np.ndarray = np.zeros(0, np.int64)  # where those of each known candidate begin
        self._pixels: np.ndarray = np.zeros(0, np.int64)

    def missing(self, numbers: np.ndarray) -> np.ndarray:
        """Those of the candidates [m] that are not known."""
        place = np.full(max(len(self._place), int(numbers.max(initial=-1)) + 1), -1, np.int64)
        place[: len(self._place)] = self._place
        self._place = place
        return numbers[place[numbers] < 0]

    def take(self, numbers: np.ndarray, found: Sequence[Specks]) -> None:
        """The specks of candidates that were missing, [m] in the order of the parts ``found``."""
        if not len(numbers):
            return
        begin = self._known
        parts = [] if self._specks is None else [self._specks]
        for part in found:
            count = len(part.doubt)
            parts.append(part.renumbered(begin + np.arange(count)))
            begin += count
        self._place[numbers] = self._known + np.arange(len(numbers))
        self._known = begin
        self._specks = Specks.joined(parts).by_mask()
        places = np.arange(self._known + 1)
        self._components = np.searchsorted(self._specks.mask, places)
        self._pixels = np.searchsorted(self._specks.pixel_mask, places)

    def clean(self, numbers: np.ndarray, logits: np.ndarray, most: float) -> None:
        """Raise holes and lower islands of up to ``most`` logits in ``logits`` [m, h, w], in place."""
        assert self._specks is not None
        which, at = _spans(self._pixels, self._place[numbers])
        specks = self._specks
        small = specks.pixel_area[at] <= most
        which, at = which[small], at[small]
        values = np.where(specks.pixel_hole[at], self.threshold + BEYOND, self.threshold - BEYOND)
        logits.reshape(len(logits), -1)[which, specks.pixel_place[at]] = values

    def lines(
        self,
        numbers: np.ndarray,
        most: float,
        above: tuple[np.ndarray, np.ndarray],
        logits_hw: tuple[int, int],
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Rows and columns that the cleaned masks [m] may reach; of which two they have four logits for sure.

        ``above``, bool [m, h - 1] and [m, w - 1], says which two lines have four logits surely above the
        threshold; those that an island taken out lies on are not sure of it any more.
        """
        assert self._specks is not None
        specks, place = self._specks, self._place[numbers]
        which, at = _spans(self._components, place)
        stays = (specks.area[at] > most) != specks.hole[at]  # islands that stay, holes that are filled
        gone = (specks.area[at] <= most) & ~specks.hole[at]
        doubt = specks.doubt[place]
        reached, sure = [], []
        for side, (length, sharp) in enumerate(zip(logits_hw, above, strict=True)):
            low, high = (1, 3) if side == 0 else (0, 2)
            begin = np.concatenate([specks.box[at[stays], low], doubt[:, low]])
            end = np.concatenate([specks.box[at[stays], high], doubt[:, high]])
            some = begin <= end
            of = np.concatenate([which[stays], np.arange(len(numbers))])
            reached.append(_covered(of[some], begin[some], end[some], len(numbers), length))
            lost = _covered(
                which[gone], specks.box[at[gone], low], specks.box[at[gone], high], len(numbers), length
            )
            sure.append(sharp & ~(lost[:, :-1] & lost[:, 1:]))
        return (reached[0], reached[1]), (sure[0], sure[1])


def _spans(begins: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All places of some spans one after the other: whose each is, counted in ``which``, and where it is."""
    first, count = begins[which], begins[which + 1] - begins[which]
    of = np.repeat(np.arange(len(which)), count)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + first[of]


def _covered(of: np.ndarray, begin: np.ndarray, end: np.ndarray, count: int, length: int) -> np.ndarray:
    """Which of so many places lie in a span ``begin`` to ``end`` [k] of line ``of``: bool [count, length]."""
    line = of * (length + 1)
    steps = np.bincount(line + begin, minlength=count * (length + 1))
    steps -= np.bincount(line + end + 1, minlength=count * (length + 1))
    return np.cumsum(steps.reshape(count, length + 1), axis=1)[:, :length] > 0
