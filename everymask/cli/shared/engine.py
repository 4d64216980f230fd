"""The models behind the commands: loading one, and what of it the masks depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from ...maskset import MaskSet

NOT_IN_THE_MASKS = {"points_per_batch", "output_mode"}
"""Options that change the speed or the form of an answer, not the masks."""


class EverythingSegmenter:
    """Everything mode with a loaded model."""

    def __init__(self, model: Any, model_hash: str, options: dict[str, Any], reading: dict[str, Any]) -> None:
        """``reading`` is how photos are read, which the masks depend on as well."""
        from ...everything.generate import AutomaticMaskGenerator

        self._generator = AutomaticMaskGenerator(model, **options)
        self.model_hash = model_hash
        chosen = self._generator.options
        named = {each.name: getattr(chosen, each.name) for each in fields(chosen)}
        self.settings = {
            "model": model.spec.name,
            "model_hash": model_hash,
            **{name: _plain(value) for name, value in named.items() if name not in NOT_IN_THE_MASKS},
            **reading,
        }

    def __call__(self, photo: np.ndarray, watch: Callable[[int, int], None]) -> MaskSet:
        """The masks of an RGB photo."""
        return self._generator.generate(photo, lambda state: watch(state.points_done, state.points))

    def fill_gaps(self, photo: np.ndarray, masks: MaskSet) -> Any:
        """The masks with gaps filled, a :class:`everymask.everything.gaps.Filling`."""
        return self._generator.fill_gaps(photo, masks)


def open_segmenter(
    model: str, device: str | None, options: dict[str, Any], reading: dict[str, Any]
) -> EverythingSegmenter:
    """Load a model, showing its download, and set everything mode up with the options that were given."""
    from ...models.features import fingerprint
    from .downloads import load_visibly

    loaded = load_visibly(model, device)
    return EverythingSegmenter(loaded, fingerprint(loaded), options, reading)


def _plain(value: Any) -> Any:
    """An option as a JSON value."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
