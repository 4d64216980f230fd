"""The run over photos: read, segment, write, note; a photo that fails does not stop the others."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import NO_ROOM, EverymaskError, one_line
from ...everything.keep import Keep
from ...everything.protocol import Segmenter
from ...everything.settings import short_hash
from ...everything.tiles import Tiling
from ...formats import Losses, PhotoMasks
from ...formats.georeference import read_georeference
from ...formats.landing import landing
from ...formats.text import write_json
from ...maskset import MaskSet
from ...media.photos import read_photo, read_pixels
from ...media.scenes import Scene, open_scene
from ..shared.inputs import Photo
from ..shared.messages import note
from ..shared.outputs import CUTOUTS, FROM_THE_PHOTO, OVERLAY, Outputs, write_output, write_run
from ..shared.progress import Progress, counted
from ..shared.stamps import stamp_of
from . import scenes
from .journal import Finished, Journal
from .quality import quality_of
from .scenes import Tiles

REPORT = "report.json"


@dataclass(frozen=True)
class Failure:
    """A photo that could not be done."""

    name: str
    source: str
    reason: str
    details: str = ""
    """The traceback of an error that nobody expected; empty for an explained one."""


@dataclass
class Summary:
    """What a run did."""

    done: list[Finished] = field(default_factory=list)
    kept: list[Finished] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    run_losses: dict[str, Losses] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def found(self) -> int:
        """Masks of all photos that are done, now or before, those that filters leave out included."""
        return sum(each.masks for each in (*self.done, *self.kept))

    @property
    def masks(self) -> int:
        """Those that are kept."""
        return sum(each.quality.get("masks", each.masks) for each in (*self.done, *self.kept))

    @property
    def quality(self) -> list[tuple[str, dict[str, Any]]]:
        """How good the masks of each photo are, by its name."""
        return [(each.name, each.quality) for each in (*self.done, *self.kept)]

    def losses(self) -> dict[str, Losses]:
        """By output, what could not be held, over all photos."""
        found = dict(self.run_losses)
        for finished in (*self.done, *self.kept):
            for output in finished.losses:
                found[output] = found.get(output, Losses()) + finished.losses_of(output)
        return {output: losses for output, losses in found.items() if losses}

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return {
            "done": len(self.done),
            "kept": len(self.kept),
            "failed": [{"photo": f.name, "source": f.source, "reason": f.reason} for f in self.failed],
            "masks": self.masks,
            "seconds": round(self.seconds, 3),
            "losses": {
                output: [item.to_dict() for item in lost.items] for output, lost in self.losses().items()
            },
            "written": [str(path) for path in self.written],
        }


@dataclass(frozen=True)
class Run:
    """Everything that one photo's work needs."""

    segmenter: Segmenter
    journal: Journal
    outputs: Outputs
    reading: dict[str, Any]
    """How photos are read: arguments of ``read_pixels``."""
    tiles: Tiles

    def photos(self, photos: list[Photo], overwrite: bool, progress: Progress) -> Summary:
        """Do every photo that is not finished, then the files for the whole run and the report."""
        begun = time.monotonic()
        summary = Summary()
        for photo in photos:
            before = None if overwrite else self.journal.finished(photo)
            if before is not None and not self._missing(before):
                summary.kept.append(self._judged(before))
                continue
            self._one(photo, before, summary, progress)
        self._whole_run(summary)
        summary.seconds = time.monotonic() - begun
        self._report(summary)
        return summary

    def is_finished(self, photo: Photo) -> bool:
        """Whether a photo and all outputs asked for are done."""
        before = self.journal.finished(photo)
        return before is not None and not self._missing(before)

    def _missing(self, finished: Finished) -> list[str]:
        """The outputs that are not there, or were written with other choices."""
        return [
            output
            for output in self.outputs.per_photo
            if finished.outputs.get(output) != self.outputs.choices(output)
            or not any(path.exists() for path in self._paths(output, finished.key))
        ]

    def _paths(self, output: str, key: str) -> list[Path]:
        sizes = ((1, 1), (1, 2**31))  # a picture's suffix goes by the photo's size
        return [self.outputs.path_of(output, key, size) for size in sizes]

    def _one(self, photo: Photo, before: Finished | None, summary: Summary, progress: Progress) -> None:
        begun = time.monotonic()
        try:
            finished = self._again(photo, before) if before is not None else self._anew(photo, progress)
        except OSError as error:
            if error.errno in NO_ROOM:  # nor is there any for the next photo
                kept = counted(len(self.journal), "finished photo")
                note(f"{kept} kept; the same command goes on from there")
                raise
            failure = Failure(photo.name, photo.source, one_line(error))
        except (EverymaskError, MemoryError) as error:
            failure = Failure(photo.name, photo.source, one_line(error))
        except Exception as error:  # a fault of ours or of a library must not end the run, nor be hidden
            reason = f"unexpected {type(error).__name__}: {one_line(error)}"
            failure = Failure(photo.name, photo.source, reason, traceback.format_exc())
        else:
            summary.done.append(finished)
            progress.photo_done(
                photo.name, finished.quality.get("masks", finished.masks), time.monotonic() - begun
            )
            return
        summary.failed.append(failure)
        progress.photo_failed(photo.name, failure.reason)

    def _anew(self, photo: Photo, progress: Progress) -> Finished:
        """Read and segment a photo and write its outputs."""
        tiling = self.tiles.of(photo.path)
        if tiling is not None:
            return self._in_tiles(photo, tiling, progress)
        begun, stamp = time.monotonic(), _stamp(photo.path)
        read = read_pixels(photo.path, **self.reading)
        masks = self.segmenter(read.values, progress.within_photo, read.valid)
        record = self._kept(photo, masks)
        losses = {name: self._write(name, photo.key, record, read.values) for name in self.outputs.per_photo}
        return self._finished(photo, record, stamp, begun, losses, self._quality(record))

    def _in_tiles(self, photo: Photo, tiling: Tiling, progress: Progress) -> Finished:
        """Segment a scene tile by tile and write its outputs."""
        begun, stamp = time.monotonic(), _stamp(photo.path)
        folder = self.journal.tiles_of(photo, self.segmenter.settings)
        with scenes.opened(photo.path, folder, tiling, self.reading) as work:
            scenes.check_outputs(self.outputs, work.scene.hw)
            found = work.masks(
                self.segmenter,
                lambda state: progress.within_scene(
                    photo.name, state.done, state.total, state.masks, state.doing
                ),
            )
            progress.said(f"{photo.name}: {found}")
            record = self._kept(photo, found.masks)
            losses, quality = self._of_scene(photo.key, record, self.outputs.per_photo, work.scene)
            finished = self._finished(photo, record, stamp, begun, losses, quality)
            work.done()
        return finished

    def _of_scene(
        self, key: str, record: PhotoMasks, names: list[str], scene: Scene
    ) -> tuple[dict[str, Losses], dict[str, Any]]:
        """Write outputs of a scene, pictures of it reduced where it is too large; and its quality."""
        record = replace(record, masks=self.outputs.keep.apply(record.masks))
        large = scenes.too_large(scene.hw)
        small, picture = scenes.reduced(record, scene) if large else (record, None)
        losses = {}
        for name in names:
            if large and name == OVERLAY:
                assert picture is not None
                plain = replace(self.outputs, keep=Keep())  # areas are of the scene's own pixels
                write_output(plain, name, key, small, picture.values, self.journal.scratch)
                losses[name] = Losses()
            elif large and name == CUTOUTS:
                without = scenes.write_cutouts(self.outputs, key, record.masks, scene, self.journal.scratch)
                for number, pixels in without:
                    note(f"{record.photo}: mask {number} has no cutout, its box has {pixels:,} pixels")
                losses[name] = Losses()
            else:
                whole = scene.read((0, 0, *scene.hw[::-1])).values if name in FROM_THE_PHOTO else None
                losses[name] = self._write(name, key, record, whole)
        quality = quality_of(small.masks).to_dict() | {"masks": len(record.masks)}
        return losses, {**quality, "kept_by": str(self.outputs.keep)}

    def _kept(self, photo: Photo, masks: MaskSet) -> PhotoMasks:
        """The masks of a photo, kept in the journal."""
        hashes = self.segmenter.model_hash, short_hash(self.segmenter.settings)
        record = PhotoMasks(photo.name, masks, read_georeference(photo.path), *hashes, photo.path)
        self.journal.keep_masks(photo, record)
        return record

    def _finished(
        self,
        photo: Photo,
        record: PhotoMasks,
        stamp: tuple[int, int],
        begun: float,
        losses: dict[str, Losses],
        quality: dict[str, Any],
    ) -> Finished:
        """Note that a photo is done."""
        finished = Finished(
            source=photo.source,
            name=photo.name,
            key=photo.key,
            stamp=stamp,
            settings=self.segmenter.settings,
            masks=len(record.masks),
            seconds=round(time.monotonic() - begun, 3),
            outputs={name: self.outputs.choices(name) for name in self.outputs.per_photo},
            losses=_plain(losses),
            quality=quality,
        )
        self.journal.add(finished)
        return finished

    def _quality(self, record: PhotoMasks) -> dict[str, Any]:
        kept = self.outputs.keep.apply(record.masks)
        return {**quality_of(kept).to_dict(), "kept_by": str(self.outputs.keep)}

    def _judged(self, finished: Finished) -> Finished:
        """The record with the quality of what today's filters keep."""
        if finished.quality.get("kept_by") == str(self.outputs.keep):
            return finished
        record = self.journal.masks_of(finished)
        if not scenes.too_large(record.photo_hw):
            return replace(finished, quality=self._quality(record))
        with closing(open_scene(Path(finished.source), **self.reading)) as scene:
            return replace(finished, quality=self._of_scene(finished.key, record, [], scene)[1])

    def _again(self, photo: Photo, before: Finished) -> Finished:
        """Write what is missing of a finished photo from the masks kept, without the model."""
        record = self.journal.masks_of(before)
        missing = self._missing(before)
        if scenes.too_large(record.photo_hw):
            with closing(open_scene(photo.path, **self.reading)) as scene:
                scenes.check_outputs(self.outputs, scene.hw)
                losses, quality = self._of_scene(photo.key, record, missing, scene)
        else:
            pixels = read_photo(photo.path, **self.reading) if FROM_THE_PHOTO & set(missing) else None
            losses = {name: self._write(name, photo.key, record, pixels) for name in missing}
            quality = self._quality(record)
        finished = replace(
            before,
            outputs={**before.outputs, **{name: self.outputs.choices(name) for name in missing}},
            losses={**before.losses, **_plain(losses)},
            quality=quality,
        )
        self.journal.add(finished)
        return finished

    def _write(self, output: str, key: str, record: PhotoMasks, pixels: np.ndarray | None) -> Losses:
        return write_output(self.outputs, output, key, record, pixels, self.journal.scratch)

    def _whole_run(self, summary: Summary) -> None:
        """The files that hold all photos, also those of earlier runs into the same folder."""
        for format_ in self.outputs.per_run if len(self.journal) else ():
            summary.run_losses[format_.name] = write_run(
                self.outputs, format_, self._kept_photos(), self.journal.scratch
            )
            summary.written.append(self.outputs.run_path(format_))
        folders = [self.outputs.folder / name for name in self.outputs.per_photo]
        summary.written += [folder for folder in folders if folder.exists()]

    def _kept_photos(self) -> Iterator[PhotoMasks]:
        for finished in self.journal.all_finished():
            yield self.journal.masks_of(finished)

    def _report(self, summary: Summary) -> None:
        path = self.outputs.folder / REPORT
        photos = [
            {
                "photo": each.name,
                "source": each.source,
                "masks": each.masks,
                **each.quality,
                "seconds": each.seconds,
                "state": state,
            }
            for state, group in (("done", summary.done), ("kept", summary.kept))
            for each in group
        ]
        failed = [
            {"photo": f.name, "source": f.source, "reason": f.reason, "details": f.details}
            for f in summary.failed
        ]
        content = {
            **summary.to_dict(),
            "failed": failed,
            "photos": photos,
            "settings": self.segmenter.settings,
        }
        with landing(path, self.journal.scratch) as temporary:
            write_json(temporary, content)


def _stamp(path: Path) -> tuple[int, int]:
    """The stamp of a photo; what is wrong with its file is said by reading it."""
    try:
        return stamp_of(path)
    except OSError:
        return 0, 0


def _plain(losses: dict[str, Losses]) -> dict[str, list[dict[str, Any]]]:
    return {name: [item.to_dict() for item in lost.items] for name, lost in losses.items() if lost}
