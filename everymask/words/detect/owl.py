"""OWLv2: each word a query of its own, so any number of words is one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from everymask.words.detect.hosted import Hosted

AT_ONCE = 64


class Owl(Hosted):
    """One score a box and query. The photo lies in the upper left corner of a square."""

    threshold = 0.1

    def passes(self, words: Sequence[str]) -> list[list[int]]:
        """A few dozen at a time: their embeddings take memory."""
        size = self.words_per_pass or AT_ONCE
        return [list(range(start, min(start + size, len(words)))) for start in range(0, len(words), size)]

    def prepare(self, photo: np.ndarray, words: Sequence[str]) -> tuple[Any, Any]:
        """The words as queries; scores come by query."""
        inputs = self.processor(
            images=photo,
            text=[list(words)],
            return_tensors="pt",
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
        )
        return inputs, lambda scores: scores

    def extent(self, height: int, width: int) -> np.ndarray:
        """Boxes are shares of the square about the photo."""
        return np.full(4, max(height, width), np.float64)
