"""Speech to text without a download: pocketsphinx, which hears nothing but the sentences of a grammar.

Its package brings an English acoustic model and 134,860 pronunciations. A name that has none of them cannot
be heard, and is told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import PromptError, require
from everymask.words.listen.commands import grammar

ROOM = 8000  # samples before and after
NOISE = 30  # standard deviation, of samples up to 32,767


@dataclass(frozen=True)
class Hearable:
    """Names that a recogniser can hear, and those that it has no pronunciation for."""

    names: tuple[str, ...]
    unknown: tuple[str, ...]


class Sphinx:
    """Hears commands about a vocabulary."""

    name = "pocketsphinx"

    def __init__(self, names: Sequence[str]) -> None:
        """Raises ``PromptError`` where none of the names has a pronunciation."""
        library = require("pocketsphinx", "voice", "understanding speech")
        quiet: dict[str, Any] = {"loglevel": "FATAL"}
        dictionary = library.Decoder(lm=None, **quiet)
        self.hearable = hearable(names, lambda word: dictionary.lookup_word(word) is not None)
        if not self.hearable.names:
            raise PromptError(f"no pronunciation is known of {', '.join(names)}; type the words instead")
        self.unknown = self.hearable.unknown
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "commands.gram"
            path.write_text(grammar(self.hearable.names), "utf-8")
            self.decoder: Any = library.Decoder(jsgf=str(path), lm=None, **quiet)

    def transcribe(self, samples: np.ndarray) -> str:
        """The sentence in samples, int16 [N] at 16 kHz; "" for none."""
        samples = with_a_room(samples)
        self.decoder.start_utt()
        self.decoder.process_raw(np.ascontiguousarray(samples, np.int16).tobytes(), full_utt=True)
        self.decoder.end_utt()
        heard = self.decoder.hyp()
        return "" if heard is None else str(heard.hypstr)


def with_a_room(samples: np.ndarray) -> np.ndarray:
    """Samples with half a second before and after, and the faint noise of any room over them.

    Made speech and cut recordings hold zeros, whose logarithm throws the recogniser off: of 16 sentences that
    espeak-ng spoke it understood 4 as they were, and 13 so.
    """
    padded = np.pad(samples.astype(np.float64), ROOM)
    noise = np.random.default_rng(0).normal(0, NOISE, len(padded))
    return np.clip(padded + noise, -32768, 32767).astype(np.int16)


def hearable(names: Sequence[str], has_pronunciation: Any) -> Hearable:
    """Names whose every word has a pronunciation, and the others."""
    once = list(dict.fromkeys(" ".join(name.lower().split()) for name in names))
    plain = [name for name in once if name.replace(" ", "").replace("'", "").isalpha()]
    known = [name for name in plain if all(has_pronunciation(word) for word in name.split())]
    return Hearable(tuple(known), tuple(name for name in once if name not in known))
