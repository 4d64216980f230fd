"""The endpoints: one set for the page and for other programs (``/openapi.json`` describes them).

Errors are JSON, ``{"error": ...}``: 404 for what there is not, 409 where somebody else changed the photo
first, 413 for too much, 422 for what cannot be done. Coordinates are pixels of the photo.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, Header, Query, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

import everymask
from everymask import EverymaskError, InputError

from ..actions import Accept, AnyAction, Coordinate, Point
from ..clips.export import clip_formats
from ..export import format_table
from ..photos import View
from ..project import StaleError
from ..session import Session
from .erasing import add_erasing
from .everything import Jobs
from .exports import Exports
from .guard import Guard
from .limits import BodyLimit, TooLargeError
from .live import Channel
from .turns import Turns, Urgency
from .uploads import check_photo, take_upload
from .video import add_video
from .words import add_words, missing_for_voice

WEB = Path(__file__).resolve().parents[1] / "web"
JSON_LIMIT_BYTES = 64_000_000
Tab = Annotated[str, Header(alias="X-Tab", max_length=64)]


@dataclass(frozen=True)
class Access:
    """Who may use the server."""

    token: str
    port: int
    names: tuple[str, ...] = ()


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ActionRequest(_Body):
    """An action, and the version of the photo it was meant for."""

    version: int
    action: AnyAction


class VersionRequest(_Body):
    """The version of the photo that the asker knows."""

    version: int


class ViewRequest(_Body):
    """A page of the file and the range of values that is shown as black to white."""

    page: Annotated[int, Field(ge=0)] | None = None
    range: Literal["percentile", "minmax", "dtype"] | tuple[float, float] = "percentile"


class DoneRequest(_Body):
    """Whether a photo is finished."""

    done: bool


class ClassRequest(_Body):
    """A class of masks."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class PredictRequest(_Body):
    """Prompts for one mask."""

    points: list[Point] = []
    labels: list[Literal[0, 1]] | None = None
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    multimask: bool = True


class ThresholdsRequest(_Body):
    """Thresholds by the names of GeneratorOptions, and which masks the asker has already."""

    thresholds: dict[str, int | float] = {}
    known: int = 1
    levels: bool = False  # whether to say how deep each mask lies within others


class WhyRequest(_Body):
    """A place on the photo, and the thresholds under which to look."""

    x: Coordinate
    y: Coordinate
    thresholds: dict[str, int | float] = {}


def make_app(session: Session, access: Access) -> FastAPI:
    """The application for a session."""
    turns = Turns()
    jobs = Jobs(session)
    exports = Exports(session)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        turns.close()
        exports.close()
        session.close()

    app = FastAPI(
        title="everymask studio",
        version=everymask.__version__,
        docs_url=None,  # FastAPI's page of docs loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(BodyLimit, json_bytes=JSON_LIMIT_BYTES)
    app.add_middleware(Guard, token=access.token, port=access.port, names=access.names)
    _add_errors(app)
    _add_session(app, session)
    _add_photos(app, session, turns)
    _add_masks(app, session, turns)
    _add_everything(app, jobs, session)
    exports.add_to(app)
    add_video(app, session, turns, exports)
    add_words(app, session)
    add_erasing(app, session, exports)

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        await Channel(socket, session, turns).serve()

    _add_page(app)
    return app


def _add_errors(app: FastAPI) -> None:
    def answer(status: int, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status)

    @app.exception_handler(EverymaskError)
    async def refused(request: Request, error: EverymaskError) -> JSONResponse:
        return answer(409 if isinstance(error, StaleError) else 422, error)

    @app.exception_handler(KeyError)
    async def absent(request: Request, error: KeyError) -> JSONResponse:
        return answer(404, LookupError(f"there is no number {error} here"))

    @app.exception_handler(TooLargeError)
    async def too_large(request: Request, error: TooLargeError) -> JSONResponse:
        return answer(413, error)

    @app.exception_handler(OSError)
    async def file_trouble(request: Request, error: OSError) -> JSONResponse:
        return answer(422, error)


def _add_session(app: FastAPI, session: Session) -> None:
    @app.get("/api/session")
    def read_session() -> dict[str, Any]:
        """The photos, classes, formats and presets of this session, and the photo that was open last."""
        rows = session.rows()
        known = {row.id for row in rows}
        last = session.project.setting("photo")
        return {
            "version": everymask.__version__,
            "model": session.model_name,
            "project": session.begin.project.name,
            "photos": [
                {"id": row.id, "name": row.path, "done": row.done, "masks": row.masks} for row in rows
            ],
            "photo": last if last in known else rows[0].id if rows else None,
            "clips": [clip.row() for clip in session.clips.values()],
            "clip": _clip_to_open(session, bool(rows)),
            "classes": session.classes(),
            "formats": format_table(),
            "clip_formats": clip_formats(),
            "voice": missing_for_voice(),
            "presets": [{"name": name, "purpose": each.purpose} for name, each in session.presets.items()],
            "preset": session.first_preset,
        }

    @app.put("/api/classes")
    def write_classes(classes: Annotated[list[ClassRequest], Body(max_length=10_000)]) -> None:
        """Names and colours of the classes, in the order of their number keys.

        Not a step that can be undone: the actions ``class`` and ``rename_class`` of a photo or clip are.
        """
        session.set_classes([each.model_dump() for each in classes])


def _clip_to_open(session: Session, has_photos: bool) -> int | None:
    """The clip that was open last, unless a photo was; where there are no photos, the first clip."""
    last = session.project.setting("clip")
    if last in session.clips:
        return last
    return None if has_photos else next(iter(session.clips), None)


def _add_photos(app: FastAPI, session: Session, turns: Turns) -> None:
    @app.post("/api/photos", status_code=201)
    async def upload(request: Request, name: str) -> dict[str, Any]:
        """Add a photo: the file is the body. Kept beside the project."""
        path, stored = await take_upload(request.stream(), session.begin.uploads, name, check_photo)
        photo = session.add_photo(path, f"{session.begin.uploads.name}/{stored}")
        return {"id": photo, "name": stored, "done": False, "masks": 0}

    @app.post("/api/masks", status_code=201)
    async def upload_masks(request: Request, name: str, x_tab: Tab = "") -> dict[str, Any]:
        """Add the masks of a file, in any format, to the photos that it names: the file is the body."""
        with tempfile.TemporaryDirectory(prefix="everymask-masks-") as folder:
            path, stored = await take_upload(request.stream(), Path(folder), name, lambda path: None)
            try:
                added = await run_in_threadpool(session.add_masks_of, path, x_tab)
            except InputError as error:  # by the name that its owner knows
                raise type(error)(str(error).replace(str(path), stored)) from error
        return {"photos": added, "classes": session.classes()}

    @app.get("/api/photos/{photo}")
    async def open_photo(photo: int) -> dict[str, Any]:
        """Everything that a page needs to show a photo. It is encoded meanwhile; ``ready`` is told live."""
        facts = await run_in_threadpool(session.facts, photo)
        draft = session.open(photo).document.draft
        session.project.set_setting("photo", photo)
        session.project.set_setting("clip", None)
        _encode(session, turns, photo, Urgency.OPEN)
        following = _after(session, photo)
        if following is not None:
            _encode(session, turns, following, Urgency.AHEAD)
        reply = await turns.run(Urgency.OPEN, lambda: session.reply(photo, draft)) if draft else None
        return {**facts, "reply": reply}

    @app.get("/api/photos/{photo}/depth")
    def read_depth(photo: int) -> dict[str, Any]:
        """Pages of the file, and its range of values with a histogram."""
        return session.depth(photo)

    @app.put("/api/photos/{photo}/view")
    def write_view(photo: int, view: ViewRequest) -> None:
        """Look at another page, or with another contrast."""
        session.set_view(photo, View(view.page, view.range))
        _encode(session, turns, photo, Urgency.OPEN)

    @app.put("/api/photos/{photo}/done")
    def write_done(photo: int, request: DoneRequest) -> None:
        """Mark a photo that cannot be opened as finished, or not; for others there is the action ``done``."""
        session.photos.source(photo)
        session.project.mark_done(photo, request.done)

    @app.get("/api/photos/{photo}/tiles/{level}/{column}/{row}", response_class=Response)
    def read_tile(photo: int, level: int, column: int, row: int) -> Response:
        """A tile of at most 512 x 512 pixels; level 0 is the photo, each further one half as large."""
        return _jpeg(session.photos.picture(photo).tile(level, column, row))

    @app.get("/api/photos/{photo}/thumbnail", response_class=Response)
    def read_thumbnail(photo: int) -> Response:
        """A small picture of the photo."""
        return _jpeg(session.photos.thumbnail(photo))


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


def _encode(session: Session, turns: Turns, photo: int, urgency: Urgency) -> None:
    def encode() -> None:
        try:
            session.photos.prompting(photo)
        except EverymaskError as error:
            session.tell({"type": "ready", "photo": photo, "error": str(error)})
            return
        session.tell({"type": "ready", "photo": photo, "error": None})

    turns.submit(urgency, encode)


def _after(session: Session, photo: int) -> int | None:
    ids = [source.id for source in session.photos]
    place = ids.index(photo) + 1
    return ids[place] if place < len(ids) else None


def _add_masks(app: FastAPI, session: Session, turns: Turns) -> None:
    async def with_reply(photo: int, outcome: dict[str, Any]) -> dict[str, Any]:
        draft = session.open(photo).document.draft
        if draft is None or "draft" not in outcome["patch"]:
            return outcome
        try:
            reply = await turns.run(Urgency.CLICK, lambda: session.reply(photo, draft))
        except Exception as error:  # what was asked is kept; the page says that the model has no answer
            return {**outcome, "reply": None, "reply_error": f"the model gave no answer: {error}"}
        return {**outcome, "reply": reply}

    @app.post("/api/photos/{photo}/actions")
    async def act(photo: int, request: ActionRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Do something: what changed, and the model's candidates where an object is being prompted.

        409 if the photo is not at ``version`` any more: nothing was done.
        """
        work = partial(session.act, photo, request.version, request.action, x_tab)
        if isinstance(request.action, Accept):
            outcome = await turns.run(Urgency.CLICK, work)
        else:  # no need to wait for the model
            outcome = await run_in_threadpool(work)
        return await with_reply(photo, outcome)

    @app.post("/api/photos/{photo}/undo")
    async def undo(photo: int, request: VersionRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Take the last action back."""
        outcome = await run_in_threadpool(session.undo, photo, request.version, x_tab)
        return await with_reply(photo, outcome)

    @app.post("/api/photos/{photo}/redo")
    async def redo(photo: int, request: VersionRequest, x_tab: Tab = "") -> dict[str, Any]:
        """Do again what was taken back."""
        outcome = await run_in_threadpool(session.redo, photo, request.version, x_tab)
        return await with_reply(photo, outcome)

    @app.get("/api/photos/{photo}/masks")
    def read_masks(photo: int) -> list[dict[str, Any]]:
        """The masks of a photo as dicts in the official layout, RLE as COCO writes it, with their classes."""
        masks = session.open(photo).document.mask_set()
        return [{**mask.to_dict("coco_rle"), "label": mask.label} for mask in masks]

    @app.get("/api/photos/{photo}/masks/{mask}/outline")
    def read_outline(
        photo: int, mask: int, detail: Annotated[float, Query(ge=0, le=10_000)] = 0
    ) -> list[list[list[float]]]:
        """A mask as rings of corners, no further than ``detail`` pixels off; 0 is exact."""
        return session.outline(photo, mask, detail)

    @app.post("/api/photos/{photo}/predict")
    async def predict(photo: int, prompts: PredictRequest) -> list[dict[str, Any]]:
        """Masks for prompts, best first; nothing is kept. For other programs."""

        def ask() -> list[dict[str, Any]]:
            answer = session.photos.prompting(photo).predictor.predict(
                points=prompts.points or None,
                labels=prompts.labels,
                box=prompts.box,
                multimask=prompts.multimask,
            )
            return answer.to_mask_set().sorted_by("predicted_iou").to_dicts("coco_rle")

        return await turns.run(Urgency.CLICK, ask)


def _add_everything(app: FastAPI, jobs: Jobs, session: Session) -> None:
    @app.post("/api/photos/{photo}/everything", status_code=202)
    def start(photo: int, options: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        """Find every object, in the background. Options are those of AutomaticMaskGenerator."""
        session.open(photo)
        return jobs.start(photo, options).to_json()

    @app.get("/api/jobs/{job}")
    def read_job(job: int) -> dict[str, Any]:
        """Where a run is."""
        return jobs.get(job).to_json()

    @app.post("/api/jobs/{job}/masks")
    def read_masks(job: int, request: ThresholdsRequest) -> dict[str, Any]:
        """The masks of a finished run under any thresholds, without asking the model.

        Each has a number that stays; those from ``known`` on are given in full.
        """
        return jobs.get(job).masks(request.thresholds, request.known, request.levels)

    @app.post("/api/jobs/{job}/why")
    def read_why(job: int, request: WhyRequest) -> list[dict[str, Any]]:
        """What became of each candidate at a place, and what would bring it back."""
        return jobs.get(job).why(request.x, request.y, request.thresholds)

    @app.delete("/api/jobs/{job}")
    def cancel(job: int) -> None:
        """End a run."""
        jobs.cancel(job)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(WEB / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/favicon.svg", include_in_schema=False)
    def icon() -> FileResponse:
        return FileResponse(WEB / "favicon.svg")

    app.mount("/web", _Fresh(directory=WEB), name="web")


class _Fresh(StaticFiles):
    """Files that browsers ask about each time: the page and the server are of one version."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response
