"""Exports: prepared in a temporary folder, so that losses are told before anything is kept; then taken."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from everymask.formats import Losses

from ..export import Ready, Wanted, export
from ..session import Session

KEPT = 3


class ExportRequest(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid")
    photos: list[int] | None = None  # None: every photo with masks
    formats: list[str] = ["coco"]
    overlay: bool = False
    cutouts: bool = False
    feather_px: Annotated[float, Field(ge=0, le=200, allow_inf_nan=False)] = 0
    overlap: Literal["keep", "disjoint", "nested"] = "keep"
    rings: Literal["bridge", "largest"] = "bridge"
    val: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0  # of YOLO's photos, for validation


@dataclass(frozen=True)
class Prepared:
    """An export that lies ready."""

    folder: Path
    archive: Path


class Exports:
    """The exports of a session; they go with it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._root = Path(tempfile.mkdtemp(prefix="everymask-export-"))
        self._ready: dict[int, Prepared] = {}
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Delete what lies ready."""
        shutil.rmtree(self._root, ignore_errors=True)

    def folder(self) -> Path:
        """A new folder that goes with the session."""
        return Path(tempfile.mkdtemp(dir=self._root))

    def photos(self, request: ExportRequest) -> Callable[[Path], dict[str, Losses]]:
        """What writes the photos asked for."""
        photos = [self._ready_photo(photo) for photo in self._chosen(request.photos)]
        wanted = Wanted(
            tuple(request.formats),
            request.overlay,
            request.cutouts,
            request.feather_px,
            request.overlap,
            request.rings,
            request.val,
        )
        return lambda folder: export(folder, photos, wanted)

    def prepare(self, write: Callable[[Path], dict[str, Losses]]) -> dict[str, Any]:
        """Have ``write`` write into a new folder; which files, and what each format could not hold."""
        number = next(self._numbers)
        folder = self._root / f"everymask-export-{number}"
        folder.mkdir()
        try:
            losses = write(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        archive = folder.with_suffix(".zip")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            for path in files:
                zipped.write(path, path.relative_to(folder))
        self._ready[number] = Prepared(folder, archive)
        self._drop_old()
        return {
            "id": number,
            "files": [path.relative_to(folder).as_posix() for path in files],
            "bytes": archive.stat().st_size,
            "losses": {
                name: [{**each.to_dict(), "text": str(each)} for each in lost.items]
                for name, lost in losses.items()
                if lost
            },
        }

    def save(self, number: int) -> str:
        """Copy an export beside the project; the name of the folder, which is a new one."""
        prepared = self._ready[number]
        parent = self.session.begin.project.parent
        for count in itertools.count(1):
            target = parent / f"everymask-export{'' if count == 1 else f'-{count}'}"
            if not target.exists():
                break
        shutil.copytree(prepared.folder, target)
        return target.name

    def archive(self, number: int) -> Path:
        """The zip file of an export. Raises KeyError where there is none."""
        return self._ready[number].archive

    def add_to(self, app: FastAPI) -> None:
        """The endpoints."""

        @app.post("/api/exports", status_code=201)
        def prepare(request: ExportRequest) -> dict[str, Any]:
            """Prepare files in any formats: which they are, and what each format could not hold."""
            return self.prepare(self.photos(request))

        @app.get("/api/exports/{number}.zip", response_class=FileResponse)
        def download(number: int) -> FileResponse:
            """The prepared files as one archive."""
            return FileResponse(self.archive(number), filename="everymask-export.zip")

        @app.post("/api/exports/{number}/save")
        def save(number: int) -> dict[str, str]:
            """Keep the prepared files in a new folder beside the project."""
            return {"folder": self.save(number)}

    def _chosen(self, photos: list[int] | None) -> list[int]:
        if photos is not None:
            return photos
        return [row.id for row in self.session.rows() if row.masks]

    def _ready_photo(self, photo: int) -> Ready:
        source = self.session.photos.source(photo)
        masks = self.session.open(photo).document.mask_set()
        numbers = self.session.numbers(photo)
        return Ready(
            source.name, source.path, masks, lambda: self.session.photos.picture(photo).pixels, numbers
        )

    def _drop_old(self) -> None:
        for number in list(self._ready)[:-KEPT]:
            old = self._ready.pop(number)
            shutil.rmtree(old.folder, ignore_errors=True)
            old.archive.unlink(missing_ok=True)
