"""Everything mode with a loaded model, and by name and value all that its masks depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.settings import NOT_IN_THE_MASKS, UNSAID, plain
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel


class EverythingSegmenter:
    """``segmenter(photo, watch)`` is the masks of an RGB photo; ``settings`` is what they depend on."""

    def __init__(
        self, model: PromptableModel, model_hash: str, options: Mapping[str, Any], reading: Mapping[str, Any]
    ) -> None:
        """``reading`` is how photos are read, which the masks depend on as well."""
        self._generator = AutomaticMaskGenerator(model, **options)
        self.model, self.model_hash = model, model_hash
        chosen = self._generator.options
        named = {each.name: getattr(chosen, each.name) for each in fields(chosen)}
        self.settings = {
            "model": model.spec.name,
            "model_hash": model_hash,
            **{
                name: plain(value)
                for name, value in named.items()
                if name not in NOT_IN_THE_MASKS and not (name in UNSAID and value == UNSAID[name])
            },
            **reading,
        }

    def __call__(
        self, photo: np.ndarray, watch: Callable[[int, int], None], valid: np.ndarray | None = None
    ) -> MaskSet:
        """The masks of an RGB photo; ``watch(done, total)`` hears of the points asked.

        ``valid``, bool [H, W], is where the photo has data; None: everywhere.
        """
        return self._generator.generate(
            photo, lambda state: watch(state.points_done, state.points), valid=valid
        )

    def fill_gaps(self, photo: np.ndarray, masks: MaskSet) -> Any:
        """The masks with gaps filled, a :class:`everymask.everything.gaps.Filling`."""
        return self._generator.fill_gaps(photo, masks)
