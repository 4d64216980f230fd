"""What a detector is, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

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


class Detector(Protocol):
    """Finds things by their names."""

    name: str
    threshold: float
    """Below this score a find counts as none, unless the caller says otherwise."""

    def check(self, words: Sequence[str]) -> None:
        """Raise ``PromptError`` for a word that the detector cannot know, before any work is done."""

    def detect(self, photo: np.ndarray, words: Sequence[str], threshold: float) -> list[Detection]:
        """What is found in an RGB uint8 photo [H, W, 3] with at least this score, each for one word."""
