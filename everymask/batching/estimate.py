"""What a run would take: a few photos measured, the whole reckoned, nothing written."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from .keys import ticket
from .listing import Entry
from .plan import Unit
from .reading import fetch
from .work import Photos, Work
from .worker import Worker

SAMPLE = 10
"""Photos that are measured."""


@dataclass
class Sample:
    """Photos drawn from a stream, each with the same chance, and what the stream was."""

    size: int = SAMPLE + 1
    photos: int = 0
    bytes: int = 0
    """Of all photos whose listing says it."""
    drawn: list[Entry] = field(default_factory=list)

    def passing(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries as they come, a sample of them drawn (always the same for the same listing)."""
        chance = random.Random(0)
        for entry in entries:
            self.photos += 1
            self.bytes += max(entry.size, 0)
            if len(self.drawn) < self.size:
                self.drawn.append(entry)
            elif (place := chance.randrange(self.photos)) < self.size:
                self.drawn[place] = entry
            yield entry


@dataclass(frozen=True)
class Measured:
    """What photos of a sample took, one after the other, with one model."""

    photos: int
    read_seconds: float
    """A photo, reading: it goes on beside the model."""
    work_seconds: float
    """A photo, decoding, the model and its row."""
    row_bytes: float
    masks: float
    failed: tuple[tuple[str, str], ...]


def measure(
    segmenter: Any, reading: dict[str, Any], entries: Sequence[Entry], work: Work = Photos()
) -> Measured:
    """Do the photos and time them; the first of several warms up. Raises InputError where all fail."""
    worker = Worker(segmenter, None, reading, work=work)
    if len(entries) > 1:
        worker.make(_unit(entries[:1]), fetch(entries[:1]))
        entries = entries[1:]
    begun = time.monotonic()
    fetched = fetch(entries)
    read = time.monotonic() - begun
    made = worker.make(_unit(entries), fetched)
    if len(made.failed) == made.photos:
        raise InputError(f"none of {made.photos} photos could be done; the first: {made.failed[0][1]}")
    count = len(entries)
    return Measured(
        count, read / count, made.seconds / count, len(made.content) / count, made.masks / count, made.failed
    )


def _unit(entries: Sequence[Entry]) -> Unit:
    return Unit("sample", tuple(entries), tuple(ticket(each.name, each.stamp) for each in entries))


@dataclass(frozen=True)
class Estimate:
    """The whole run, reckoned from a sample."""

    photos: int
    done: int
    """In parts that have landed."""
    bytes: int
    measured: Measured
    actors: int
    price: float | None = None
    """Of the whole cluster, an hour."""

    @property
    def hours(self) -> float:
        """For the photos that are left, if actors are as fast as the one measured."""
        return (self.photos - self.done) * self.measured.work_seconds / self.actors / 3600

    @property
    def output_bytes(self) -> float:
        """Of all parts."""
        return self.photos * self.measured.row_bytes

    @property
    def cost(self) -> float | None:
        """In the currency of the price."""
        return None if self.price is None else self.hours * self.price

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain JSON values."""
        return {
            "photos": self.photos,
            "done": self.done,
            "bytes": self.bytes,
            "measured": self.measured.photos,
            "seconds_per_photo": round(self.measured.work_seconds, 4),
            "read_seconds_per_photo": round(self.measured.read_seconds, 4),
            "masks_per_photo": round(self.measured.masks, 1),
            "actors": self.actors,
            "hours": round(self.hours, 4),
            "output_bytes": round(self.output_bytes),
            "cost": None if self.cost is None else round(self.cost, 2),
            "failed": [{"photo": name, "reason": reason} for name, reason in self.measured.failed],
        }
