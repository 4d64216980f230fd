"""Objects of a clip that nobody clicked: found while it is tracked, by everything mode or by words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .journal import TrackJournal

if TYPE_CHECKING:
    from ...words.clips import WordWatch


class Finder(Protocol):
    """Finds objects that are not followed yet, and has the session follow them."""

    names: dict[int, str]
    """What found objects are called, kept up to date."""

    def begin(self, frame: int | None, stop: int | None) -> None:
        """Look on ``frame``; None: where objects are found first, before ``stop``. Raises ``PromptError``
        where there is nothing to follow then."""

    def is_time(self, frame: int) -> bool:
        """Whether to look on this frame, which was tracked just now."""

    def look(self, frame: int) -> int:
        """Follow what is new on a frame; how many objects that are."""


class WordFinder:
    """Finds what words name, and notes in the journal what was found where."""

    def __init__(self, watch: WordWatch, journal: TrackJournal) -> None:
        self._watch, self._journal = watch, journal
        self.names = watch.names

    def begin(self, frame: int | None, stop: int | None) -> None:
        """See :class:`Finder`."""
        self._watch.begin(frame, stop)

    def is_time(self, frame: int) -> bool:
        """See :class:`Finder`."""
        return self._watch.is_time(frame)

    def look(self, frame: int) -> int:
        """See :class:`Finder`."""
        added = self._watch.look(frame)
        self.note()
        return added

    def note(self) -> None:
        """Write what was found so far beside the tracks."""
        self._journal.note_looks(self._watch.looks.values())
