"""The detectors by name, and which one is taken when none is asked for."""

from __future__ import annotations

from typing import Any

from everymask.errors import OptionError
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel
from everymask.words.detect.protocol import Detector

DETECTORS = ("lite",)


def open_detector(
    name: str | None, model: PromptableModel, masks: MaskSet | None, options: dict[str, Any]
) -> Detector:
    """The detector called ``name``, or the default one for None. Raises :class:`OptionError`."""
    if name not in (None, *DETECTORS):
        raise OptionError(f"detector must be one of {', '.join(DETECTORS)}, got {name!r}")
    from everymask.words.detect.lite import Lite

    return Lite(model, masks, options)
