"""Photos with masks: ``NAME.jpg`` (or .png) beside ``NAME_K.png``, the label map of annotator K."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from everymask.errors import InputError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Annotated:
    """A photo RGB uint8 [H, W, 3] and one label map int32 [H, W] per annotator."""

    name: str
    photo: np.ndarray
    label_maps: tuple[np.ndarray, ...]


def annotated_photos(
    folder: Path | str, limit: int | None = None, annotators: int | None = None
) -> Iterator[Annotated]:
    """The photos of a folder that have label maps, by name; ``limit`` spreads its choice over the folder.

    Raises InputError if there are none.
    """
    folder = Path(folder)
    paths = [p for p in sorted(folder.glob("*")) if p.suffix.lower() in PHOTO_SUFFIXES and label_paths(p)]
    if not paths:
        raise InputError(
            f"expected NAME.jpg beside NAME_0.png (label maps) in {str(folder)!r}, found none; "
            "check the folder"
        )
    if limit:
        paths = paths[:: max(1, len(paths) // limit)][:limit]
    for path in paths:
        maps = tuple(np.asarray(Image.open(p)).astype(np.int32) for p in label_paths(path)[:annotators])
        yield Annotated(path.stem, np.asarray(Image.open(path).convert("RGB")), maps)


def label_paths(photo: Path) -> list[Path]:
    return sorted(
        p for p in photo.parent.glob(f"{photo.stem}_*.png") if p.stem[len(photo.stem) + 1 :].isdigit()
    )
