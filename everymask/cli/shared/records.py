"""The photos of mask files, to be gone through as often as need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...formats import PhotoMasks
from ...formats.parquet import stream

Change = Callable[[PhotoMasks], PhotoMasks]


@dataclass(frozen=True)
class Records:
    """Photos in the order of their files. Parts of a batch are read anew each time."""

    sources: tuple[Path | list[PhotoMasks], ...]
    """A part, or the photos of another file."""
    change: Change = field(default=lambda record: record)
    """What is done to each photo on its way."""

    def __iter__(self) -> Iterator[PhotoMasks]:
        for source in self.sources:
            for record in stream(source) if isinstance(source, Path) else source:
                yield self.change(record)

    def with_change(self, change: Change) -> Records:
        """The photos with one more change."""
        before = self.change
        return replace(self, change=lambda record: change(before(record)))
