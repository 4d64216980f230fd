"""Masks from words, spoken ones too: ``em.find``."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

import everymask as em
from everymask.errors import MissingExtraError, require
from everymask.words.listen.understand import understand
from everymask.words.listen.vocabulary import EVERYDAY

from ..session import Session


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FindRequest(_Body):
    """What to look for, words with dots between them, and how many of each at most."""

    words: Annotated[str, Field(min_length=1, max_length=500)]
    at_most: Annotated[int, Field(ge=1)] | None = None


def add_words(app: FastAPI, session: Session) -> None:
    """The endpoints."""

    def found_in(pixels: np.ndarray, request: FindRequest) -> list[dict[str, Any]]:
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

    @app.post("/api/photos/{photo}/find")
    def find(photo: int, request: FindRequest) -> list[dict[str, Any]]:
        """The masks of what words name, surest first; nothing is kept. Give them to the action ``add``."""
        return found_in(session.photos.picture(photo).pixels, request)

    @app.post("/api/clips/{clip}/frames/{frame}/find")
    def find_on_frame(clip: int, frame: int, request: FindRequest) -> list[dict[str, Any]]:
        """The same on a frame of a clip; the clip's action ``add`` makes objects of them, to be followed."""
        return found_in(session.clips[clip].picture(frame).level(0), request)

    @app.post("/api/heard")
    async def heard(request: Request) -> dict[str, Any]:
        """The command in a recording: the body is a sound file (WebM, WAV, ...) of a sentence.

        Words are listened for that the bundled detector knows, and the classes of this session.
        """
        sound = await request.body()
        return await run_in_threadpool(_understood, sound, [each["name"] for each in session.classes()])


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
