"""New objects of a clip, found while it is tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...video.session import VideoSession


class Finder:
    """Finds objects that are not followed yet, with everything mode, and has the session follow them."""

    def __init__(self, model: Any, session: VideoSession, first: int, every: int, most: int) -> None:
        """Look on frame ``first`` and every so many frames after it (0: never again), until ``most``
        objects are followed."""
        from ...everything.generate import AutomaticMaskGenerator
        from ...video.discover import DiscoveryRule

        self._generator = AutomaticMaskGenerator(model)
        self._session, self._first, self._every = session, first, every
        self._rule = DiscoveryRule(most_objects=most)

    def is_time(self, frame: int) -> bool:
        """Whether to look on this frame, which was tracked just now."""
        ahead = frame - self._first
        return self._every > 0 and ahead > 0 and ahead % self._every == 0

    def look(self, frame: int) -> int:
        """Follow what is new on a frame; how many objects that are."""
        from ...video.discover import new_objects

        found = self._generator.generate(self._session.source.frame(frame))
        new = new_objects(found, self._session.show(frame).masks, self._rule)
        for mask in new:
            number = max(self._session.object_ids, default=0) + 1
            self._session.add_prompt(frame, number, mask=mask.segmentation)
        return len(new)
