"""A folder that YOLO trainers train on as it is written.

    data.yaml                      classes by number, and where the pictures lie, seen from this file
    images/KEY.jpg                 the photos: hard links on one disk, copies on another
    labels/KEY.txt                 their masks

With a share of photos kept for validation: ``images/train``, ``images/val``, and the labels likewise. Which
side a photo is on depends on its name alone, so that it stays there from run to run and as photos come.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FormatError, OptionError
from .yolo import NAMES_FILE, read_pictures, write_names

TRAIN, VAL = "train", "val"


@dataclass(frozen=True)
class YoloFolder:
    """Where labels and photos go. Raises :class:`OptionError` for a share of 1 or more, or below 0.

    >>> YoloFolder(Path("yolo")).label_path("a/b").as_posix()
    'yolo/labels/a/b.txt'
    >>> YoloFolder(Path("yolo"), val=0.5).label_path("a").as_posix()
    'yolo/labels/train/a.txt'
    """

    folder: Path
    val: float = 0.0
    """The share of photos for validation; 0: training and validation see the same photos."""

    def __post_init__(self) -> None:
        if not 0 <= self.val < 1:
            raise OptionError(
                f"the share of photos for validation must be from 0 to below 1, got {self.val:g}"
            )

    def side(self, key: str) -> str:
        """ "train" or "val", "" where there is one side only."""
        if not self.val:
            return ""
        return VAL if zlib.crc32(key.encode("utf-8", "surrogateescape")) < self.val * 2**32 else TRAIN

    def label_path(self, key: str) -> Path:
        """Where the labels of a photo go; ``key`` is its path without a suffix, with forward slashes."""
        return self.folder / "labels" / self.side(key) / f"{key}.txt"

    def put(self, key: str, photo: Path | None, names: Sequence[str]) -> None:
        """The photo beside its labels, where there is one, and ``data.yaml`` as it must be then.

        ``names`` are those of ``classes.for_yolo``. Raises :class:`FormatError` where the folder has other
        classes, or is split and is not to be, or the other way round.
        """
        self._check()
        if photo is not None and photo.is_file():
            place_beside(self.folder / "images" / self.side(key) / f"{key}{photo.suffix.lower()}", photo)
        if self.val:
            self._clear(VAL if self.side(key) == TRAIN else TRAIN, key, photo)
        train, val = (f"images/{side}" if self.val else "images" for side in (TRAIN, VAL))
        if self.val and not _any_in(self.folder / val):  # a trainer wants both
            val = train
        elif self.val and not _any_in(self.folder / train):
            train = val
        self.folder.mkdir(parents=True, exist_ok=True)
        write_names(self.folder / NAMES_FILE, names, train, val)

    def _check(self) -> None:
        pictures = read_pictures(self.folder / NAMES_FILE)
        if (
            pictures is not None
            and pictures.startswith("images")
            and (pictures != "images") != bool(self.val)
        ):
            state = "is not split" if pictures == "images" else "is split"
            raise FormatError(
                f"{self.folder} {state} into training and validation, and this run asks otherwise; "
                "write to another folder"
            )

    def _clear(self, side: str, key: str, photo: Path | None) -> None:
        """What an earlier run with another share put on the other side."""
        (self.folder / "labels" / side / f"{key}.txt").unlink(missing_ok=True)
        if photo is not None:
            (self.folder / "images" / side / f"{key}{photo.suffix.lower()}").unlink(missing_ok=True)


def place_beside(target: Path, source: Path) -> None:
    """The same file under another name: a hard link, or a copy on another disk; nothing where it is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if target.samefile(source) or _stamp(target) == _stamp(source):
            return
        target.unlink()
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _any_in(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
