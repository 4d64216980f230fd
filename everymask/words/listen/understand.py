"""Speech to a command: :func:`understand`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from everymask.errors import PromptError
from everymask.words.listen.audio import read_audio
from everymask.words.listen.commands import Command, read_command, within_vocabulary
from everymask.words.listen.recogniser import open_recogniser
from everymask.words.listen.vocabulary import EVERYDAY


@dataclass(frozen=True)
class Heard:
    """A sentence, what it means, and which names of the vocabulary could not have been heard."""

    text: str
    command: Command
    unknown: tuple[str, ...] = ()


def understand(
    speech: str | Path | np.ndarray, vocabulary: Sequence[str] | None = None, recogniser: str | None = None
) -> Heard:
    """The command in a sound file, or in samples int16 [N] at 16 kHz (extra ``voice``).

    ``vocabulary`` are the names that are likely to be said, by default everyday ones that ``lite`` knows:
    pocketsphinx hears no others, Whisper any word, which is written as here where it is near. ``recogniser``
    is a name of ``everymask.words.listen.recogniser`` or a folder; by default the best one whose weights are
    here. Raises ``PromptError`` where no command is heard, and as ``read_audio`` and ``open_recogniser`` do.
    """
    samples = speech if isinstance(speech, np.ndarray) else read_audio(speech)
    ears = open_recogniser(recogniser, list(vocabulary or EVERYDAY))
    text = ears.transcribe(samples)
    if not text:
        raise PromptError(
            "no command was heard; say one such as 'find the dog', 'remove the car', 'undo' or 'next photo'"
        )
    command = read_command(text)
    return Heard(text, within_vocabulary(command, vocabulary) if vocabulary else command, ears.unknown)
