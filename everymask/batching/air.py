"""What is in the air: a note for each part that was begun, to find a photo that kills its worker.

A part that was begun before and never landed is done carefully: the note then names each photo before the
model sees it. A photo that was named when its worker died, often enough, is given up.
"""

from __future__ import annotations

import json
from typing import Any

from .storage import TRIES, Place


class Flight:
    """The note of one part: ``begin()``, ``at(index)`` before each photo, ``end()``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._note: dict[str, Any] = {}
        self.careful = False

    def begin(self) -> None:
        """Read what an earlier worker left, and leave the own note."""
        try:
            before = json.loads(self._place.read())
            deaths = dict(before["deaths"])
        except (OSError, ValueError, KeyError, TypeError):
            before, deaths = None, {}
        if before is not None and before.get("photo") is not None:
            photo = str(before["photo"])
            deaths[photo] = deaths.get(photo, 0) + 1
        self.careful = before is not None
        self._note = {"deaths": deaths, "photo": None}
        self._leave()

    def at(self, index: int) -> bool:
        """Whether to do the photo with this number; False when it was the end of :data:`TRIES` workers."""
        if self._note["deaths"].get(str(index), 0) >= TRIES:
            return False
        if self.careful:
            self._note["photo"] = index
            self._leave()
        return True

    def end(self) -> None:
        """Take the note away: the rows are made."""
        self._place.remove()

    def _leave(self) -> None:
        self._place.write(json.dumps(self._note).encode())
