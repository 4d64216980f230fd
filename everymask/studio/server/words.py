"""Masks from words, spoken ones too, and photos without what masks cover: ``em.find`` and ``em.erase``."""

from __future__ import annotations

import itertools
import tempfile
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

import everymask as em
from everymask.errors import MissingExtraError, require
from everymask.inpaint.writing import write_picture
from everymask.words.listen.understand import understand
from everymask.words.listen.vocabulary import EVERYDAY

from ..actions import Ids
from ..photos import Picture, View, jpeg
from ..session import Session
from .exports import Exports

PREVIEW_SIDE = 1600


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FindRequest(_Body):
    """What to look for, words with dots between them, and how many of each at most."""

    words: Annotated[str, Field(min_length=1, max_length=500)]
    at_most: Annotated[int, Field(ge=1)] | None = None


class EraseRequest(_Body):
    """The masks whose pixels are painted over, and by how many pixels they grow first."""

    masks: Ids
    grow: Annotated[int, Field(ge=0, le=500)] | None = None


def add_words(app: FastAPI, session: Session, exports: Exports) -> None:
    """The endpoints."""

    @app.post("/api/photos/{photo}/find")
    def find(photo: int, request: FindRequest) -> list[dict[str, Any]]:
        """The masks of what words name, surest first; nothing is kept. Give them to the action ``add``."""
        pixels = session.photos.picture(photo).pixels
        found = em.find(pixels, request.words, session.photos.model, at_most=request.at_most)
        return [
            {
                "counts": mask.rle["counts"],
                "label": mask.label,
                "predicted_iou": mask.predicted_iou,
                "stability_score": mask.stability_score,
            }
            for mask in found
        ]

    @app.post("/api/heard")
    async def heard(request: Request) -> dict[str, Any]:
        """The command in a recording: the body is a sound file (WebM, WAV, ...) of a sentence.

        Words are listened for that the bundled detector knows, and the classes of this session.
        """
        sound = await request.body()
        return await run_in_threadpool(_understood, sound, [each["name"] for each in session.classes()])

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
        erased[number] = write_picture(exports.folder() / name, result)
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


def _understood(sound: bytes, classes: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="everymask-heard-") as folder:
        file = Path(folder) / "recording"
        file.write_bytes(sound)
        try:
            told = understand(file, [*EVERYDAY, *classes])
        except em.EverymaskError as error:
            raise type(error)(str(error).replace(repr(str(file)), "the recording")) from error
    return {"text": told.text, "action": told.command.action, "words": list(told.command.words)}


@cache
def missing_for_voice() -> str | None:
    """What to install so that spoken commands are understood; None where all is there."""
    try:
        require("pocketsphinx", "voice", "understanding speech")
        require("av", "voice", "reading sound files")
    except MissingExtraError as error:
        return str(error)
    return None
