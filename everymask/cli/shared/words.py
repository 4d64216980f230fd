"""Words as flags: which things are looked for, by which detector, and what masks are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...errors import OptionError, PromptError
from ...everything.protocol import Segmenter
from ...formats.classes import Classes
from ...maskset import MaskSet
from .flags import flag
from .messages import note
from .option_files import options_of

if TYPE_CHECKING:
    from ...words.detect.protocol import Exemplars
    from ...words.segmenter import FindingSegmenter, Sought


@dataclass(frozen=True)
class Words:
    """Raises :class:`OptionError` for a bound out of range."""

    PANEL: ClassVar[str] = "Words"

    text: list[str] | None = flag(  # noqa: RUF009 (the flag of a frozen dataclass)
        None, 'Look for this alone: "dog", "dog . leash". May be repeated.', metavar="WORDS"
    )
    vocabulary: Path | None = flag(  # noqa: RUF009
        None, "Look for the words of a file, one a line.", metavar="FILE"
    )
    audio: Path | None = flag(  # noqa: RUF009
        None, 'Look for what a sound file says: "find the dog".', metavar="FILE"
    )
    listen: bool = flag(False, "Look for what is said into the microphone, within 4 seconds.")
    recogniser: str | None = flag(
        None, "What understands speech; by default the best one whose weights are here.", metavar="NAME"
    )
    detector: str | None = flag(
        None, "What finds the words; by default the best one whose weights are here.", metavar="NAME"
    )
    threshold: float | None = flag(None, "The lowest score that counts, 0 to 1.", metavar="SCORE")
    at_most: int | None = flag(None, "Keep the N surest masks of each word.", metavar="N")

    def __post_init__(self) -> None:
        if self.at_most is not None and self.at_most < 1:
            raise OptionError(f"--at-most must be at least 1, got {self.at_most}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise OptionError(f"--threshold must be from 0 to 1, got {self.threshold:g}")

    @cached_property
    def asked(self) -> list[str]:
        """The words of --text and --vocabulary, or of them those that were said; none where none is given."""
        from ...words.find import read_words

        listed = [] if self.text is None else read_words(" . ".join(self.text))
        if self.vocabulary is not None:
            listed += read_vocabulary(self.vocabulary)
        words = read_words(listed) if listed else []
        return self._said(words) if self.audio is not None or self.listen else words

    @property
    def is_given(self) -> bool:
        """Whether anything is to be looked for; nothing is read, and nobody listened to."""
        return bool(self.text is not None or self.vocabulary or self.audio or self.listen)

    def generator(self, file: Path | None, model: str) -> dict[str, Any]:
        """The options of everything mode in a file, for a detector that chooses from its masks."""
        from ...words.detect.table import LITE, detector_name

        if file is not None and detector_name(self.detector) != LITE:
            raise OptionError(
                f"--options is of everything mode, which {detector_name(self.detector)} does not use; "
                f"leave it out, or give --detector {LITE}"
            )
        return options_of(file, model)

    def sought(self) -> Sought:
        """What is asked for, checked: the detector knows the words."""
        from ...words.segmenter import Sought

        return Sought.checked(self.asked, self.detector, self.threshold, self.at_most)

    def _said(self, vocabulary: list[str]) -> list[str]:
        """The words of a spoken command; what was heard is told."""
        from ...words.listen.audio import record
        from ...words.listen.recogniser import recogniser_name
        from ...words.listen.understand import understand

        recogniser_name(self.recogniser)
        if self.audio is not None and self.listen:
            raise OptionError("--audio and --listen are two ways to say one thing; give one of them")
        if self.audio is None:
            note("listening for 4 seconds")
        heard = understand(self.audio if self.audio is not None else record(), vocabulary, self.recogniser)
        note(f"heard {heard.text!r}")
        if vocabulary and heard.unknown:
            note(f"no pronunciation is known of {', '.join(heard.unknown)}")
        unasked = [word for word in heard.command.words if vocabulary and word not in vocabulary]
        if unasked:
            raise PromptError(f"heard {unasked[0]!r}, which is none of {', '.join(vocabulary[:20])}")
        if not heard.command.words:
            raise PromptError(f"{heard.text!r} names nothing to look for; say find and a name")
        return list(heard.command.words)


def read_vocabulary(path: Path) -> list[str]:
    """The words of a file, one a line; empty lines and those that begin with # are left out."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise PromptError(f"--vocabulary {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"--vocabulary {path} is no text in UTF-8") from error
    words = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not words:
        raise PromptError(f"--vocabulary {path} holds no words; write one a line")
    return words


def open_finder(
    model: str,
    device: str | None,
    words: Words,
    options: dict[str, Any],
    reading: dict[str, Any],
    exemplars: Exemplars | None = None,
) -> FindingSegmenter:
    """What finds the words in photos, or what is like exemplars: a detector, and the model that outlines.

    Words that the detector cannot know are refused before a model is loaded.
    """
    from .engine import open_segmenter

    sought = words.sought()
    if exemplars:
        sought = replace(sought, exemplars=exemplars)
    options = sought.options(options)
    return sought.by(open_segmenter(model, device, options, reading), options)


class Naming:
    """A segmenter whose masks get names, where the bundled classifier is sure of one."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.model, self.model_hash = segmenter.model, segmenter.model_hash
        self.settings = {**segmenter.settings, "name": True}

    def __call__(
        self, photo: np.ndarray, watch: Callable[[int, int], None], valid: np.ndarray | None = None
    ) -> MaskSet:
        """The masks of an RGB photo."""
        from ...words.detect.lite import named

        masks = self._segmenter(photo, watch, valid)
        return named(photo, masks, self.model)


def classes_of(words: list[str]) -> Classes:
    """The words with their numbers, in the order in which they were given, from 1."""
    return Classes({word: number for number, word in enumerate(words, 1)})


def every_name() -> Classes:
    """All names that masks can get from the classifier: the same numbers in every run."""
    from ...formats.record import UNLABELLED
    from ...words.names import names

    return classes_of([UNLABELLED, *names().labels])
