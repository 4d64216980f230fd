"""What understands speech: one small protocol, the recognisers by name, and which one is taken by default.

===============  ======================================================================================
whisper_...      any words, by `transformers` (extra ``text``): the default where its weights are
faster_...       the same, by `faster-whisper` (extra ``whisper``)
pocketsphinx     the sentences of the commands alone, without a download (extra ``voice``)
===============  ======================================================================================
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from everymask.errors import OptionError
from everymask.models.file_sets import CONFIG, pull_set
from everymask.words.listen.weights import FASTER, WHISPERS

SPHINX = "pocketsphinx"
RECOGNISERS = (SPHINX, *WHISPERS, *FASTER)


class Recogniser(Protocol):
    """Turns speech into text."""

    name: str
    unknown: tuple[str, ...]
    """Of the names that may be said those that it cannot hear."""

    def transcribe(self, samples: np.ndarray) -> str:
        """The sentence in samples, int16 [N] at 16 kHz; "" for none."""


def recogniser_name(name: str | None) -> str:
    """The name of a recogniser, or the default one's for None. Raises ``OptionError`` for no such name."""
    if name is None:
        for library, sets in (("transformers", WHISPERS), ("faster_whisper", FASTER)):
            if importlib.util.find_spec(library) is not None:
                here = next((each for each, files in sets.items() if files.is_here), None)
                if here is not None:
                    return here
        return SPHINX
    if name not in RECOGNISERS and not (Path(name) / CONFIG).is_file():
        raise OptionError(
            f"recogniser must be one of {', '.join(RECOGNISERS)}, or a folder with {CONFIG}, got {name!r}"
        )
    return name


def open_recogniser(name: str | None, names: Sequence[str]) -> Recogniser:
    """The recogniser called ``name``, or in a folder, or the default one for None; ``names`` may be said.

    Weights are fetched if they are not here. Raises ``OptionError``, ``MissingExtraError``,
    ``DownloadError``, ``CheckpointError``, and ``PromptError`` where none of the names can be heard.
    """
    name = recogniser_name(name)
    if name == SPHINX:
        from everymask.words.listen.sphinx import Sphinx

        return Sphinx(names)
    from everymask.words.listen import whisper

    is_faster = name in FASTER or (Path(name) / "model.bin").is_file()
    kind = whisper.FasterWhisper if is_faster else whisper.Whisper
    kind.library(name)  # before a download of hundreds of megabytes
    files = {**WHISPERS, **FASTER}.get(name)
    return kind(Path(name) if files is None else pull_set(files))
