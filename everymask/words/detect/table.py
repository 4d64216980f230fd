"""The detectors by name, and which one is taken when none is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from everymask.errors import OptionError
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel
from everymask.words.detect.protocol import Detector

DETECTORS = ("lite",)


def detector_name(name: str | None) -> str:
    """The name of a detector, the default one's for None. Raises :class:`OptionError` for no such name."""
    if name not in (None, *DETECTORS):
        raise OptionError(f"detector must be one of {', '.join(DETECTORS)}, got {name!r}")
    return name or "lite"


def check_words(name: str, words: Sequence[str]) -> None:
    """Raise ``PromptError`` for words that the detector called ``name`` cannot know; nothing is loaded."""
    from everymask.words.detect.lite import check

    if name == "lite":
        check(words)


def open_detector(
    name: str | None, model: PromptableModel, masks: MaskSet | None, options: dict[str, Any]
) -> Detector:
    """The detector called ``name``, or the default one for None. Raises :class:`OptionError`."""
    detector_name(name)
    from everymask.words.detect.lite import Lite

    return Lite(model, masks, options)
