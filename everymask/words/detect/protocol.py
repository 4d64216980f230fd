"""What a detector is, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from everymask.errors import OptionError, PromptError
from everymask.maskset import Mask


@dataclass(frozen=True)
class Detection:
    """One thing that answers to a word."""

    word: int
    """Which of the words, by its place."""
    score: float
    """How sure the detector is, 0 to 1."""
    box_xyxy: tuple[float, float, float, float]
    """Pixels of the photo, x right, y down, maximum edges exclusive."""
    mask: Mask | None = None
    """Its pixels, where the detector knows them itself."""


Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Exemplars:
    """Boxes XYXY in pixels of the photo: things to find more of, and things that are none of these."""

    like: tuple[Box, ...] = ()
    unlike: tuple[Box, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.like or self.unlike)

    def check(self, photo_hw: tuple[int, ...]) -> None:
        """Raise ``PromptError`` for a box that is none, or has nothing of the photo."""
        height, width = photo_hw[:2]
        for x0, y0, x1, y1 in (*self.like, *self.unlike):
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                raise PromptError(
                    f"an exemplar must be a box X0,Y0,X1,Y1 within the photo, {width} x {height}, "
                    f"got {x0:g},{y0:g},{x1:g},{y1:g}"
                )


class Detector(Protocol):
    """Finds things by their names.

    One that also has ``highest``, the best score of each word in the photo looked at last, lets it be told
    how near a word came that nothing answers to.
    """

    name: str
    threshold: float
    """Below this score a find counts as none, unless the caller says otherwise."""

    def check(self, words: Sequence[str]) -> None:
        """Raise ``PromptError`` for a word that the detector cannot know, before any work is done."""

    def detect(self, photo: np.ndarray, words: Sequence[str], threshold: float) -> list[Detection]:
        """What is found in an RGB uint8 photo [H, W, 3] with at least this score, each for one word."""


@runtime_checkable
class ExemplarDetector(Protocol):
    """A detector that also finds more of what boxes show."""

    def detect_like(
        self, photo: np.ndarray, words: Sequence[str], threshold: float, exemplars: Exemplars
    ) -> list[Detection]:
        """As ``detect``, of things that are like the exemplars."""


def check_takes(detector: Detector, exemplars: Exemplars) -> None:
    """Raise ``OptionError`` for exemplars that a detector cannot look at."""
    if exemplars and not isinstance(detector, ExemplarDetector):
        raise OptionError(
            f"like and unlike are for SAM 3 alone, not {detector.name}; name a folder with its weights as "
            "the detector"
        )
