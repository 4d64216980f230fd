"""Objects of a clip that nobody clicked: found while it is tracked, by everything mode or by words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ...errors import PromptError
from .journal import TrackJournal

if TYPE_CHECKING:
    from ...video.session import VideoSession
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


class EverythingFinder:
    """Finds every object."""

    def __init__(self, model: Any, session: VideoSession, first: int, every: int, most: int) -> None:
        """Look on frame ``first`` and every so many frames after it (0: never again), until ``most``
        objects are followed."""
        from ...everything.generate import AutomaticMaskGenerator
        from ...video.discover import DiscoveryRule

        self.names: dict[int, str] = {}
        self._generator = AutomaticMaskGenerator(model)
        self._session, self._first, self._every = session, first, every
        self._rule = DiscoveryRule(most_objects=most)

    def begin(self, frame: int | None, stop: int | None) -> None:
        """See :class:`Finder`."""
        del stop
        self.look(frame or 0)
        if not self._session.object_ids:
            raise PromptError(
                f"nothing was found on frame {(frame or 0) + 1}; prompt it with --point or --box"
            )

    def is_time(self, frame: int) -> bool:
        """See :class:`Finder`."""
        ahead = frame - self._first
        return self._every > 0 and ahead > 0 and ahead % self._every == 0

    def look(self, frame: int) -> int:
        """See :class:`Finder`."""
        from ...video.discover import new_objects

        found = self._generator.generate(self._session.source.frame(frame))
        new = new_objects(found, self._session.show(frame).masks, self._rule)
        for mask in new:
            number = max(self._session.object_ids, default=0) + 1
            self._session.add_prompt(frame, number, mask=mask.segmentation)
        return len(new)


class WordFinder:
    """Finds what words name, and notes in the journal what was found where."""

    def __init__(self, watch: WordWatch, journal: TrackJournal) -> None:
        self._watch, self._journal = watch, journal
        self.names = watch.names

    def begin(self, frame: int | None, stop: int | None) -> None:
        """See :class:`Finder`."""
        if frame is None:
            self._watch.find_first(stop)
        else:
            self._watch.look(frame)

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
