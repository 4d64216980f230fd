"""The detectors by name, and which one is taken when none is asked for."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everymask.errors import CheckpointError, OptionError
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel
from everymask.models.file_sets import CONFIG, pull_set
from everymask.words.detect.protocol import Detector
from everymask.words.detect.weights import HOSTED

LITE = "lite"
DETECTORS = (LITE, *HOSTED)
KINDS = {
    "grounding-dino": "everymask.words.detect.grounding:Grounding",
    "mm-grounding-dino": "everymask.words.detect.grounding:Grounding",
    "owlv2": "everymask.words.detect.owl:Owl",
    "sam3": "everymask.words.detect.sam3:Sam3",
}
"""By what a folder's ``config.json`` calls its model."""


def detector_name(name: str | None) -> str:
    """The name of a detector, or the default one's for None. Raises :class:`OptionError` for no such name."""
    if name is None:
        has_library = importlib.util.find_spec("transformers") is not None
        return next((each for each, files in HOSTED.items() if has_library and files.is_here), LITE)
    if name not in DETECTORS and not (Path(name) / CONFIG).is_file():
        raise OptionError(
            f"detector must be one of {', '.join(DETECTORS)}, or a folder with {CONFIG}, got {name!r}"
        )
    return name


def check_words(name: str, words: Sequence[str]) -> None:
    """Raise ``PromptError`` for words that the detector called ``name`` cannot know; nothing is loaded."""
    from everymask.words.detect.lite import check

    if name == LITE:
        check(words)


def open_detector(
    name: str | None,
    model: PromptableModel,
    masks: MaskSet | None = None,
    options: dict[str, Any] | None = None,
) -> Detector:
    """The detector called ``name``, or in a folder, or the default one for None, on the model's device.

    Raises :class:`OptionError`, ``MissingExtraError``, ``DownloadError`` or ``CheckpointError``.
    """
    name = detector_name(name)
    if name == LITE:
        from everymask.words.detect.lite import Lite

        return Lite(model, masks, options)
    if options or masks is not None:
        given = ", ".join(options or {}) or "masks"
        raise OptionError(f"{given}: for the detector {LITE} alone, which names masks of everything mode")
    from everymask.words.detect.hosted import library

    library(name)  # before a download of gigabytes
    folder = pull_set(HOSTED[name]) if name in HOSTED else Path(name)
    module, _, attribute = home_of(folder).partition(":")
    made: Detector = getattr(importlib.import_module(module), attribute)(folder, str(model.device))
    return made


def home_of(folder: Path) -> str:
    """The class for a folder's model."""
    try:
        kind = json.loads((folder / CONFIG).read_text("utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG} does not say which model it is for") from error
    if kind not in KINDS:
        raise CheckpointError(f"{folder} holds a {kind!r} model; a detector is one of {', '.join(KINDS)}")
    return KINDS[kind]
