"""Steps that look at masks as objects: gaps filled, pieces merged, one level of wholes and parts kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from everymask.errors import OptionError
from everymask.everything.protocol import Segmenter
from everymask.masks.hierarchy import LEVELS
from everymask.maskset import MaskSet


@dataclass(frozen=True)
class Objects:
    """Which steps; the command line's flags are made from the fields. Raises :class:`OptionError` for a level
    that is none."""

    PANEL: ClassVar[str] = "Objects"

    fill_gaps: bool = field(
        default=False,
        metadata={"help": "Ask again where no mask is, from inside each gap, and say what stays empty."},
    )
    merge: bool = field(default=False, metadata={"help": "Join masks that are pieces of one object."})
    level: str | None = field(
        default=None, metadata={"help": f"Keep one level of the tree of masks: {', '.join(LEVELS)}."}
    )

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS:
            raise OptionError(f"--level must be one of {', '.join(LEVELS)}, got {self.level!r}")

    def after(self, segmenter: Filler, say: Callable[[str], None]) -> Filler:
        """The segmenter with these steps after it, or the same if there are none."""
        return segmenter if self == Objects() else WithObjects(segmenter, self, say)


class Filler(Segmenter, Protocol):
    """A segmenter that can fill gaps."""

    def fill_gaps(self, photo: np.ndarray, masks: MaskSet) -> Any:
        """The masks with gaps filled, a :class:`Filling`."""


class WithObjects:
    """A segmenter whose masks go through the steps that were asked for."""

    def __init__(self, segmenter: Filler, objects: Objects, say: Callable[[str], None]) -> None:
        self._segmenter, self._objects, self._say = segmenter, objects, say
        self.model, self.model_hash = segmenter.model, segmenter.model_hash
        asked = {"fill_gaps": objects.fill_gaps, "merge": objects.merge, "level": objects.level}
        self.settings = {**segmenter.settings, **{name: value for name, value in asked.items() if value}}

    def __call__(
        self, photo: np.ndarray, watch: Callable[[int, int], None], valid: np.ndarray | None = None
    ) -> MaskSet:
        """The masks of an RGB photo; ``valid``, bool [H, W], is where it has data."""
        masks = self._segmenter(photo, watch, valid)
        if self._objects.fill_gaps:
            masks = self.fill_gaps(photo, masks).masks
        if self._objects.merge:
            masks = masks.merged(photo)
        return masks if self._objects.level is None else masks.level(self._objects.level)

    def fill_gaps(self, photo: np.ndarray, masks: MaskSet) -> Any:
        """The masks with gaps filled; says what was found and what stays empty."""
        filling = self._segmenter.fill_gaps(photo, masks)
        self._say(str(filling))
        return filling
