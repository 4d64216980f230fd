"""What a run has finished, so that the same command goes on where it was stopped.

``OUT/.everymask/finished.jsonl`` gets a line when a photo and all its outputs are written; the later line of
a photo counts, and a line cut short by a kill counts as none. ``OUT/.everymask/masks/`` keeps each photo's
masks in full, so that files for the whole run, and further formats, are made without asking the model again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...everything.settings import short_hash
from ...formats.georeference import Georeference
from ...formats.landing import landing, remove
from ...formats.losses import Loss, Losses
from ...formats.mask_store import StoredMasks, write_store
from ...formats.record import PhotoMasks
from ...masks.rle import from_coco, to_coco
from ...maskset import MaskSet
from ..shared.folder_lock import alone_in
from ..shared.inputs import Photo
from ..shared.stamps import stamp_of

HELD = 2**25
"""Bytes of a photo's masks that are held; a scene may have more."""


@dataclass(frozen=True)
class Finished:
    """A photo that is done."""

    source: str
    name: str
    key: str
    stamp: tuple[int, int]
    """Size in bytes and time of the last change (ns) of the photo's file when it was read."""
    settings: dict[str, Any]
    """The model and all options that the masks depend on."""
    masks: int
    seconds: float
    outputs: dict[str, str] = field(default_factory=dict)
    """The outputs written and the choices they were written with."""
    losses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By output, what it could not hold."""
    quality: dict[str, Any] = field(default_factory=dict)
    """Of the masks kept (``Quality.to_dict``), and by which filters."""

    def losses_of(self, output: str) -> Losses:
        """What an output of this photo could not hold."""
        return Losses(tuple(Loss(**each) for each in self.losses.get(output, [])))


class Journal:
    """The record of one output folder."""

    def __init__(self, out: Path) -> None:
        self.home = out / ".everymask"
        self.scratch = self.home / "unfinished"
        self._index = self.home / "finished.jsonl"
        self._finished = self._read()

    def __len__(self) -> int:
        return len(self._finished)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output folder for this run; raises :class:`InputError` when another run has it."""
        with alone_in(self.home):
            self._finished = self._read()
            remove(self.scratch)  # what a killed run left
            yield

    def places_for(self, found: Iterable[tuple[str, Path]]) -> dict[str, tuple[str, str]]:
        """Name and key of every photo that was finished, by its source, where the input folder may have been
        renamed: a photo found under the name and with the stamp of one that is gone is that photo."""
        strangers = [(name, path) for name, path in found if str(path.absolute()) not in self._finished]
        gone = {
            (each.name, each.stamp): each
            for each in (self._finished.values() if strangers else ())
            if not os.path.lexists(each.source)
        }
        for name, path in strangers if gone else ():
            try:
                moved = gone.pop((name, stamp_of(path)), None)
            except OSError:
                continue
            if moved is not None:
                del self._finished[moved.source]
                source = str(path.absolute())
                self._finished[source] = replace(moved, source=source)
        return self.places()

    def places(self) -> dict[str, tuple[str, str]]:
        """Name and key of every photo that was finished, by its source."""
        return {each.source: (each.name, each.key) for each in self._finished.values()}

    def finished(self, photo: Photo) -> Finished | None:
        """The record of a photo, if it is done and its file has not changed since."""
        known = self._finished.get(photo.source)
        try:
            return known if known and known.stamp == stamp_of(photo.path) else None
        except OSError:
            return None

    def all_finished(self) -> list[Finished]:
        """Every record, by name: a stable order for files of the whole run."""
        return sorted(self._finished.values(), key=lambda each: (each.name, each.source))

    def keep_masks(self, photo: Photo, masks: PhotoMasks) -> None:
        """Keep a photo's masks; they count once :meth:`add` was called."""
        place, valid = masks.georeference, masks.masks.valid
        header = {
            "photo_hw": masks.photo_hw,
            "georeference": None if place is None else asdict(place),
            "model_hash": masks.model_hash,
            "params_hash": masks.params_hash,
            "valid": None if valid is None else to_coco(valid),
        }
        with landing(self._masks_path(photo.key), self.scratch) as temporary:
            write_store(temporary, header, masks.masks)

    def masks_of(self, finished: Finished) -> PhotoMasks:
        """The masks kept of a photo; those of a large scene are read when they are asked for."""
        path = self._masks_path(finished.key)
        stored = StoredMasks(path)
        header, size = stored.header, stored.photo_hw
        place, valid = header["georeference"], header["valid"]
        if path.stat().st_size > HELD:
            masks = MaskSet.read_when_asked(stored, size)
        else:
            masks = MaskSet(stored, size, valid=valid and from_coco(valid))
        return PhotoMasks(
            finished.name,
            masks,
            place and Georeference(tuple(place["affine"]), place["crs_wkt"]),
            header["model_hash"],
            header["params_hash"],
            Path(finished.source),
        )

    def tiles_of(self, photo: Photo, settings: Mapping[str, Any]) -> Path:
        """Where the tiles of a scene are kept while it is worked on: of this file, with these settings."""
        stamp = list(stamp_of(photo.path))
        return self.home / "tiles" / photo.key / short_hash({"stamp": stamp, "settings": dict(settings)})

    def add(self, finished: Finished) -> None:
        """Note that a photo and its outputs are done."""
        line = json.dumps(asdict(finished), ensure_ascii=False)
        # A path that is not UTF-8 becomes an escape that JSON has, and comes back as it was.
        with self._index.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"\n{line}")  # the newline first: it ends a line that a kill cut short
        self._finished[finished.source] = finished

    def _masks_path(self, key: str) -> Path:
        return self.home / "masks" / f"{key}.jsonl"

    def _read(self) -> dict[str, Finished]:
        if not self._index.is_file():
            return {}
        finished = {}
        for line in self._index.read_text("utf-8", errors="replace").splitlines():
            try:
                record = Finished(**json.loads(line))
            except (ValueError, TypeError):
                continue
            finished[record.source] = replace(record, stamp=(record.stamp[0], record.stamp[1]))
        return finished
