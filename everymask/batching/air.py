"""What is in the air: a note for each part that was begun, to find a photo that kills its worker.

A worker also dies for reasons that are no photo's: it is killed from outside, its node goes. So no death of a
worker is held against a photo. A part that was begun before and never landed is done carefully, one photo at
a time, each named in the note before and taken out after. A photo that was named when its worker died is
suspected, and done in a process of its own from then on (``own_process.py``): only what that process dies of,
while its worker lives, is the photo's doing.
"""

from __future__ import annotations

import json
from typing import Any

from .storage import Place, persistently

MOST_LOST = 12
"""Workers lost, each while the same photo was in a process of its own, after which it is given up: it may
take the worker along (a machine without memory left). Hardly reached by chance: twelve deaths from outside
have to meet the same photo."""


class Flight:
    """The note of one part: ``begin()``, ``at(index)`` before each photo, ``over()`` after it, ``end()``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._note: dict[str, Any] = {}
        self.careful = False

    def begin(self) -> None:
        """Read what an earlier worker left, and leave the own note."""
        lost: dict[str, int] = {}
        named = None
        try:
            before = json.loads(self._place.read())
            lost = {str(photo): int(count) for photo, count in before["lost"].items()}
            named = before["photo"]
            self.careful = True
        except FileNotFoundError:
            self.careful = False
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # broken, or cannot be read now
            self.careful = True
        if named is not None:
            lost[str(named)] = lost.get(str(named), 0) + 1
        self._note = {"lost": lost, "photo": None}
        self._leave()

    def at(self, index: int) -> None:
        """The photo with this number is about to be done."""
        if self.careful:
            self._note["photo"] = index
            self._leave()

    def over(self) -> None:
        """It is done, whatever came of it."""
        if self.careful:
            self._note["photo"] = None
            self._leave()

    def lost(self, index: int) -> int:
        """Workers that went while this photo alone was in the air: with one or more it is suspected."""
        return int(self._note["lost"].get(str(index), 0))

    def end(self) -> None:
        """Take the note away: the rows are made."""
        persistently(self._place.remove, f"cannot remove {self._place}")

    def _leave(self) -> None:
        note = json.dumps(self._note).encode()
        persistently(lambda: self._place.write(note), f"cannot write {self._place}")
