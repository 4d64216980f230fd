"""What makes masks of a photo, however it does: everything mode, with steps after it, or by words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from everymask.maskset import MaskSet


class Segmenter(Protocol):
    """Makes masks of a photo."""

    model: Any
    settings: dict[str, Any]
    """The model and every option that the masks depend on."""
    model_hash: str

    def __call__(
        self, photo: np.ndarray, watch: Callable[[int, int], None], valid: np.ndarray | None = None
    ) -> MaskSet:
        """The masks of an RGB photo; ``watch(done, total)`` hears of the progress within it.

        ``valid``, bool [H, W], is where the photo has data; None: everywhere.
        """
