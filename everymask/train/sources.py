"""The bank of free pictures that scenes are made of (see ``tools/fetch_training_sources.py``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from everymask.errors import InputError


@dataclass(frozen=True)
class Bank:
    """Pictures in memory: photos and textures RGB uint8 [H, W, 3], cutouts RGBA uint8 [H, W, 4].

    An empty bank works too: scenes then use procedural textures and shapes only.
    """

    photos: list[np.ndarray] = field(default_factory=list)
    textures: list[np.ndarray] = field(default_factory=list)
    cutouts: list[np.ndarray] = field(default_factory=list)


def read_bank(folder: Path | str, limit: int | None = None) -> Bank:
    """The pictures under ``folder``/photos, textures and cutouts, in the order of their names.

    ``limit`` keeps that many of each kind, evenly spread. Raises InputError if the folder is absent.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"expected a folder with photos/, textures/, cutouts/, got {str(folder)!r}; "
            "make it with tools/fetch_training_sources.py"
        )
    photos, textures, cutouts = (
        read_kind(folder / kind, limit) for kind in ("photos", "textures", "cutouts")
    )
    return Bank(photos, textures, [with_alpha(cutout) for cutout in cutouts])


def read_kind(folder: Path, limit: int | None) -> list[np.ndarray]:
    paths = sorted(p for p in folder.glob("*") if p.suffix in (".jpg", ".png", ".webp"))
    if limit is not None and len(paths) > limit:
        paths = [paths[i * len(paths) // limit] for i in range(limit)]
    return [read_rgb(path) for path in paths]


def with_alpha(picture: np.ndarray) -> np.ndarray:
    """RGBA: some formats leave an alpha channel out where all of it is opaque."""
    return picture if picture.shape[2] == 4 else cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)


def read_rgb(path: Path) -> np.ndarray:
    """RGB or, where the file has alpha, RGBA; uint8."""
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise InputError(
            f"expected a picture, got {str(path)!r}, which cannot be decoded; delete or replace it"
        )
    if raw.ndim == 3 and raw.shape[2] == 4:
        return cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA)
    return cv2.cvtColor(raw, cv2.COLOR_GRAY2RGB if raw.ndim == 2 else cv2.COLOR_BGR2RGB)
