"""Clips: their frames as pictures, objects, tracking in the background, export.

Tracking takes its turns on the model's thread frame by frame: a click comes in between, and ends it.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ..clips.actions import AnyClipAction, Frame
from ..clips.clip import ClipFile, Run
from ..clips.export import clip_masks, export_clip
from ..session import Session
from .exports import Exports
from .turns import Turns, Urgency
from .uploads import CLIP_LIMIT_BYTES, check_clip, take_upload

LARGEST_SIDE = 2048
Tab = Annotated[str, Header(alias="X-Tab", max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClipActionRequest(_Body):
    """An action, and the version of the clip it was meant for."""

    version: int
    action: AnyClipAction


class ClipVersionRequest(_Body):
    """The version of the clip that the asker knows."""

    version: int


class TrackRequest(_Body):
    """From which frame on objects are followed, how many frames (None: to the end), and which way."""

    version: int
    frame: Frame
    count: Annotated[int, Field(ge=1)] | None = None
    reverse: bool = False


class ClipExportRequest(_Body):
    """What to write: names of formats for clips, and of pictures."""

    formats: Annotated[list[str], Field(max_length=50)] = ["coco-vis"]


def add_video(app: FastAPI, session: Session, turns: Turns, exports: Exports) -> None:
    """The endpoints."""
    _add_frames(app, session)
    _add_steps(app, session, turns)

    @app.post("/api/clips/{clip}/exports", status_code=201)
    async def export(clip: int, request: ClipExportRequest) -> dict[str, Any]:
        """Prepare files of the clip's masks: which they are, and what each format could not hold.

        Take them as those of photos: ``/api/exports/{id}.zip``, ``/api/exports/{id}/save``.
        """
        known = session.clips[clip]
        masks = clip_masks(known, session.numbers(f"clip/{clip}"))

        def progress(done: int, total: int) -> None:
            session.tell({"type": "export", "clip": clip, "done": done, "total": total})

        return await run_in_threadpool(
            exports.prepare,
            lambda folder: export_clip(folder, masks, known.file.source, request.formats, progress),
        )


def _add_frames(app: FastAPI, session: Session) -> None:
    @app.post("/api/clips", status_code=201)
    async def upload(request: Request, name: str) -> dict[str, Any]:
        """Add a clip: the video file is the body. Kept beside the project."""
        session.check_follows()
        folder = session.begin.uploads
        path, stored = await take_upload(request.stream(), folder, name, check_clip, CLIP_LIMIT_BYTES)
        clip = await run_in_threadpool(session.add_clip, ClipFile(path, f"{folder.name}/{stored}"))
        return session.clips[clip].row()

    @app.get("/api/clips/{clip}")
    def open_clip(clip: int) -> dict[str, Any]:
        """Everything that a page needs to show a clip; masks come by ``/masks``.

        ``strip`` has [frame, object, predicted IoU, visibility, area] of every mask.
        """
        facts = session.clips[clip].facts()
        session.project.set_setting("clip", clip)
        return facts

    @app.get("/api/clips/{clip}/masks")
    def read_masks(
        clip: int, first: Annotated[int, Query(ge=0)] = 0, last: Annotated[int, Query(ge=0)] = 63
    ) -> dict[str, Any]:
        """The masks on frames ``first`` to ``last``: ``mask/FRAME/OBJECT``, RLE as COCO writes it."""
        return session.clips[clip].masks(first, last)

    @app.get("/api/clips/{clip}/frames/{frame}/masks/{object_id}/outline")
    def read_outline(
        clip: int, frame: int, object_id: int, detail: Annotated[float, Query(ge=0, le=10_000)] = 0
    ) -> list[list[list[float]]]:
        """An object on a frame as rings of corners, no further than ``detail`` pixels off; 0 is exact."""
        return session.clips[clip].outline(frame, object_id, detail)

    @app.get("/api/clips/{clip}/frames/{frame}/tiles/{level}/{column}/{row}", response_class=Response)
    def read_tile(clip: int, frame: int, level: int, column: int, row: int) -> Response:
        """A tile of at most 512 x 512 pixels; level 0 is the frame, each further one half as large."""
        return _jpeg(session.clips[clip].picture(frame).tile(level, column, row))

    @app.get("/api/clips/{clip}/frames/{frame}/picture", response_class=Response)
    def read_frame(
        clip: int, frame: int, side: Annotated[int, Query(ge=16, le=LARGEST_SIDE)] = 1280
    ) -> Response:
        """A frame whose longer side has at most so many pixels."""
        return _jpeg(session.clips[clip].small(frame, side))


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


def _add_steps(app: FastAPI, session: Session, turns: Turns) -> None:
    @app.post("/api/clips/{clip}/actions")
    async def act(clip: int, request: ClipActionRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Prompt, correct, label, delete: what changed, by key. Tracking under way ends before.

        409 if the clip is not at ``version`` any more: nothing was done.
        """
        return await turns.run(
            Urgency.CLICK, lambda: session.act_on_clip(clip, request.version, request.action, x_tab)
        )

    @app.post("/api/clips/{clip}/undo")
    async def undo(clip: int, request: ClipVersionRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Take the last step back; a run of tracking is one step."""
        return await turns.run(Urgency.CLICK, lambda: session.clips[clip].undo(request.version, x_tab))

    @app.post("/api/clips/{clip}/redo")
    async def redo(clip: int, request: ClipVersionRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Do again what was taken back."""
        return await turns.run(Urgency.CLICK, lambda: session.clips[clip].redo(request.version, x_tab))

    @app.post("/api/clips/{clip}/track", status_code=202)
    async def track(clip: int, request: TrackRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Follow the objects that are not locked, in the background; told live frame by frame."""
        known = session.clips[clip]
        run = await turns.run(
            Urgency.CLICK,
            lambda: known.begin_run(request.version, request.frame, request.count, request.reverse, x_tab),
        )
        threading.Thread(target=_drive, args=(run, turns), daemon=True).start()
        return {**known.standing(), "run": run.to_json()}

    @app.get("/api/clips/{clip}/track")
    def read_run(clip: int) -> dict[str, Any] | None:
        """Where tracking is; null where it never ran."""
        run = session.clips[clip].run
        return None if run is None else run.to_json()

    @app.delete("/api/clips/{clip}/track")
    def stop(clip: int) -> None:
        """End tracking; what was tracked stays."""
        session.clips[clip].stop()


def _drive(run: Run, turns: Turns) -> None:
    while turns.submit(Urgency.AHEAD, run.step).result():
        pass
