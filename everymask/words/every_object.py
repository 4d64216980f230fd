"""What nobody named, through a clip: every object, found on some frames and followed in between."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from everymask.errors import NothingFoundError
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.models.base import PromptableModel
from everymask.video.discover import DiscoveryRule, new_objects
from everymask.video.session import VideoSession


class EveryObject:
    """Looks for objects on frames of a session by everything mode, and has it follow what is new."""

    def __init__(
        self,
        model: PromptableModel,
        session: VideoSession,
        first: int = 0,
        every: int = 30,
        most: int = 16,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Look on frame ``first`` and on every so many after it (0: never again), until ``most`` objects are
        followed. ``options`` are those of :class:`everymask.AutomaticMaskGenerator`."""
        self.names: dict[int, str] = {}
        """What found objects are called: nothing."""
        self._generator = AutomaticMaskGenerator(model, **options)
        self._session, self._first, self._every = session, first, every
        self._rule = DiscoveryRule(most_objects=most)

    def begin(self, frame: int | None, stop: int | None = None) -> None:
        """Look on ``frame``, by default the first. Raises ``NothingFoundError`` where nothing is there."""
        del stop
        self.look(frame or 0)
        if not self._session.object_ids:
            raise NothingFoundError(
                f"nothing was found on frame {(frame or 0) + 1}; prompt it with --point or --box"
            )

    def is_time(self, frame: int) -> bool:
        """Whether to look on this frame, which was tracked just now."""
        ahead = frame - self._first
        return self._every > 0 and ahead > 0 and ahead % self._every == 0

    def look(self, frame: int) -> int:
        """Follow what is new on a frame; how many objects that are."""
        found = self._generator.generate(self._session.source.frame(frame))
        new = new_objects(found, self._session.show(frame).masks, self._rule)
        for mask in new:
            number = max(self._session.object_ids, default=0) + 1
            self._session.add_prompt(frame, number, mask=mask.segmentation)
        return len(new)
