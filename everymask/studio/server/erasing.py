"""Photos and clips without what masks cover (``em.erase``, ``em.erase_video``), until the session ends."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

import everymask as em
from everymask import InputError
from everymask.formats.video_record import ClipMasks
from everymask.inpaint.writing import write_picture
from everymask.media.colour_profile import colour_profile

from ..actions import Ids
from ..clips.export import clip_masks
from ..photos import Picture, View, jpeg
from ..session import Session
from .exports import Exports

PREVIEW_SIDE = 1600
Grow = Annotated[int, Field(ge=0, le=500)]


class EraseRequest(BaseModel):
    """The masks whose pixels are painted over, and by how many pixels they grow first."""

    model_config = ConfigDict(extra="forbid")
    masks: Ids
    grow: Grow | None = None


class EraseClipRequest(BaseModel):
    """The objects whose pixels are painted over on every frame, and by how many pixels they grow first."""

    model_config = ConfigDict(extra="forbid")
    objects: Ids
    grow: Grow | None = None


class _StoppedError(Exception):
    pass


@dataclass
class Erasing:
    """A clip that is being written without some objects."""

    id: int
    clip: int
    path: Path
    untracked: int  # frames without a mask of any of them
    state: str = "running"  # then "done", "stopped" or "failed"
    done: int = 0  # frames read or filled
    total: int = 0
    error: str | None = None
    wanted: bool = field(default=True, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Where it is."""
        keys = ("id", "clip", "state", "done", "total", "error", "untracked")
        return {key: getattr(self, key) for key in keys} | {"name": self.path.name}


def add_erasing(app: FastAPI, session: Session, exports: Exports) -> None:
    """The endpoints."""
    _add_photos(app, session, exports)
    _add_clips(app, session, exports)


def _add_photos(app: FastAPI, session: Session, exports: Exports) -> None:
    numbers = itertools.count(1)
    erased: dict[int, Path] = {}
    previews: dict[int, bytes] = {}

    @app.post("/api/photos/{photo}/erase", status_code=201)
    def erase(photo: int, request: EraseRequest) -> dict[str, Any]:
        """The photo without what the masks cover, at the depth of its file; it lies ready until the end."""
        source, view = session.photos.source(photo), session.photos.view(photo)
        items = session.open(photo).document.items
        hole = np.any([items[mask].mask.segmentation for mask in request.masks], axis=0)
        whole = source.path if view == View() else session.photos.picture(photo).pixels
        result = em.erase(whole, hole, grow=request.grow)
        number = next(numbers)
        name = f"{Path(source.name).stem}-erased.png"
        channels = 1 if result.ndim == 2 else result.shape[2]
        erased[number] = write_picture(exports.folder() / name, result, colour_profile(source.path, channels))
        shown = Picture(em.read_photo(result))
        level = next(level for level in range(99) if max(shown.level(level).shape[:2]) <= PREVIEW_SIDE)
        previews[number] = jpeg(shown.level(level))
        return {"id": number, "name": erased[number].name}

    @app.get("/api/erased/{number}", response_class=FileResponse)
    def download(number: int) -> FileResponse:
        """The picture file."""
        return FileResponse(erased[number], filename=erased[number].name)

    @app.get("/api/erased/{number}/preview", response_class=Response)
    def preview(number: int) -> Response:
        """The same, smaller, as JPEG."""
        return Response(previews[number], media_type="image/jpeg")


def _add_clips(app: FastAPI, session: Session, exports: Exports) -> None:
    numbers = itertools.count(1)
    erasings: dict[int, Erasing] = {}

    @app.post("/api/clips/{clip}/erase", status_code=202)
    def erase(clip: int, request: EraseClipRequest) -> dict[str, Any]:
        """Write the clip without some objects, in the background; ``erase`` is told live."""
        known = session.clips[clip]
        masks = clip_masks(known, session.numbers(f"clip/{clip}"))
        tracked = [
            any(object_id in request.objects and each.rle.area for object_id, each in there.items())
            for there in masks.frames.values()
        ]
        if not any(tracked):
            raise InputError("the selected objects have no mask on any frame yet; track them first")
        name = f"{PurePosixPath(known.name).stem}-erased.mp4"
        job = Erasing(next(numbers), clip, exports.folder() / name, known.length - sum(tracked))
        erasings[job.id] = job
        work = (job, known.file.source, masks, request, session)
        threading.Thread(target=_erase_clip, args=work, daemon=True).start()
        return job.to_json()

    @app.get("/api/erased-clips/{number}")
    def read(number: int) -> dict[str, Any]:
        """Where it is."""
        return erasings[number].to_json()

    @app.delete("/api/erased-clips/{number}")
    def stop(number: int) -> None:
        """End it."""
        erasings[number].wanted = False

    @app.get("/api/erased-clips/{number}/video", response_class=FileResponse)
    def download(number: int) -> FileResponse:
        """The clip, once it is done."""
        job = erasings[number]
        if job.state != "done":
            raise InputError(f"this clip is not ready: {job.error or job.state}")
        return FileResponse(job.path, filename=job.path.name, content_disposition_type="inline")


def _erase_clip(
    job: Erasing, source: Any, masks: ClipMasks, request: EraseClipRequest, session: Session
) -> None:
    def progress(done: int, total: int) -> None:
        if not job.wanted:
            raise _StoppedError
        job.done, job.total = done, total
        session.tell({"type": "erase", **job.to_json()})

    try:
        em.erase_video(source, masks, job.path, objects=request.objects, grow=request.grow, progress=progress)
        job.state = "done"
    except _StoppedError:
        job.state = "stopped"
    except Exception as error:  # a frame that cannot be read, a full disk: the page says so
        job.state, job.error = "failed", str(error) or type(error).__name__
    session.tell({"type": "erase", **job.to_json()})
