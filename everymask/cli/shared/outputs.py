"""Where the outputs of a run lie, and writing them: mask files, overlays, cutouts.

OUT/coco.json                 formats for the whole run
OUT/<format>/<photo>.<...>    formats with a file a photo
OUT/overlay/<photo>.jpg       the photo with its masks
OUT/cutouts/<photo>/<i>.png   each object alone
OUT/report.json               what was done, what failed, what was lost
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import InputError, OptionError
from ...formats import (
    FORMATS,
    Format,
    Losses,
    PhotoMasks,
    WriteOptions,
    categories_of,
    find_format,
    fit,
    write_file,
)
from ...formats.convert import RINGS
from ...formats.landing import landing
from ...formats.overlaps import POLICIES
from ...formats.record import UNLABELLED
from ...formats.yolo import NAMES_FILE, write_names
from ...media.draw import cut_out, draw_overlay

OVERLAY, CUTOUTS = "overlay", "cutouts"
JPEG_LIMIT = 65_500
"""The longest side that a JPEG can have; larger overlays become PNG."""


@dataclass(frozen=True)
class Outputs:
    """What to write, where, and with which choices."""

    folder: Path
    formats: tuple[Format, ...]
    overlay: bool = False
    cutouts: bool = False
    ids: bool = False
    overlap: str = "keep"
    rings: str = "bridge"
    categories: tuple[str, ...] = (UNLABELLED,)
    """Every label that occurs; the model gives none."""

    @property
    def per_photo(self) -> list[str]:
        """The outputs with a file or folder a photo, by name."""
        formats = [format_.name for format_ in self.formats if format_.per == "photo"]
        return formats + [OVERLAY] * self.overlay + [CUTOUTS] * self.cutouts

    @property
    def per_run(self) -> list[Format]:
        """The formats with one file for all photos."""
        return [format_ for format_ in self.formats if format_.per == "run"]

    def choices(self, output: str) -> str:
        """What a per-photo output depends on besides the masks: another value means write it again."""
        if output == OVERLAY:
            return "ids" if self.ids else "plain"
        return "plain" if output == CUTOUTS else f"{self.overlap} {self.rings}"

    def path_of(self, output: str, key: str, photo_hw: tuple[int, int]) -> Path:
        """Where a per-photo output of the photo with this key goes."""
        if output == OVERLAY:
            return self.folder / OVERLAY / f"{key}{'.jpg' if max(photo_hw) <= JPEG_LIMIT else '.png'}"
        if output == CUTOUTS:
            return self.folder / CUTOUTS / key
        inner = Path("yolo", "labels") if output == "yolo" else Path(output)
        return self.folder / inner / f"{key}{FORMATS[output].suffix}"

    def run_path(self, format_: Format) -> Path:
        """Where a format for the whole run goes."""
        stem = "masks" if format_.suffix == f".{format_.name}" else format_.name
        return self.folder / f"{stem}{format_.suffix}"

    def folders(self) -> frozenset[Path]:
        """Folders that hold outputs, absolute: not to be searched for inputs."""
        inside = [self.folder / name for name in (*FORMATS, OVERLAY, CUTOUTS)]
        return frozenset(folder.absolute() for folder in (self.folder, *inside))


def choose_outputs(
    folder: Path, formats: Iterable[str], overlay: bool, cutouts: bool, ids: bool, overlap: str, rings: str
) -> Outputs:
    """The outputs that flags ask for; COCO and overlays when they ask for none."""
    if overlap not in POLICIES:
        raise OptionError(f"--overlap must be one of {', '.join(POLICIES)}, got {overlap!r}")
    if rings not in RINGS:
        raise OptionError(f"--rings must be one of {', '.join(RINGS)}, got {rings!r}")
    names = list(dict.fromkeys(formats))
    if not names and not overlay and not cutouts:
        names, overlay = ["coco"], True
    return Outputs(folder, tuple(find_format(name) for name in names), overlay, cutouts, ids, overlap, rings)


def write_output(
    outputs: Outputs,
    output: str,
    key: str,
    photo: PhotoMasks,
    pixels: np.ndarray | None,
    scratch: Path | None = None,
) -> Losses:
    """Write one per-photo output, whole or not at all; ``pixels`` (RGB) are needed for pictures only."""
    path = outputs.path_of(output, key, photo.photo_hw)
    if output in (OVERLAY, CUTOUTS):
        assert pixels is not None, f"{output} is drawn from the photo"
        with landing(path, scratch) as temporary:
            _draw(output, temporary, photo, pixels, outputs.ids)
        return Losses()
    fitting, losses = fit(photo, FORMATS[output], outputs.overlap)
    options = WriteOptions(outputs.categories, outputs.rings)
    if output == "yolo":
        names = outputs.folder / "yolo" / NAMES_FILE
        names.parent.mkdir(parents=True, exist_ok=True)
        write_names(names, options.categories)
    return losses + write_file(FORMATS[output], path, [fitting], options, scratch)


def _draw(output: str, path: Path, photo: PhotoMasks, pixels: np.ndarray, ids: bool) -> None:
    if output == OVERLAY:
        save_picture(path, draw_overlay(pixels, photo.masks, ids=ids))
        return
    path.mkdir()
    for index, mask in enumerate(photo.masks):
        if mask.area:
            cutout = cv2.cvtColor(cut_out(pixels, mask), cv2.COLOR_RGBA2BGRA)
            cv2.imwrite(str(path / f"{index}.png"), cutout)


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Save an RGB picture by its suffix; JPEGs with full colour resolution, so that thin lines stay crisp."""
    from PIL import Image

    options: dict[str, Any] = {"quality": 92, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(picture).save(path, **options)


def write_run(
    outputs: Outputs, format_: Format, photos: Iterable[PhotoMasks], scratch: Path | None = None
) -> Losses:
    """Write one file for all photos, taken one at a time: a run of any length fits in memory."""
    losses: list[Losses] = []

    def fitting() -> Iterator[PhotoMasks]:
        for photo in photos:
            fitted, lost = fit(photo, format_, outputs.overlap)
            losses.append(lost)
            yield fitted

    options = WriteOptions(outputs.categories, outputs.rings)
    written = write_file(format_, outputs.run_path(format_), fitting(), options, scratch)
    return Losses.total([*losses, written])


@dataclass(frozen=True)
class Item:
    """The masks of one photo on their way out."""

    key: str
    photo: PhotoMasks
    pixels: Callable[[], np.ndarray]
    """Reads the photo itself, RGB [H, W, 3]; called where something is drawn."""


def free_paths(
    outputs: Outputs, photos: Sequence[tuple[str, tuple[int, int]]], overwrite: bool
) -> list[Path]:
    """Where all outputs of photos (key, height and width) go.

    Raises :class:`InputError` when a file is there already and ``overwrite`` is off.
    """
    per_photo = [outputs.path_of(output, key, hw) for output in outputs.per_photo for key, hw in photos]
    paths = [*per_photo, *(outputs.run_path(format_) for format_ in outputs.per_run)]
    if not overwrite and (there := [path for path in paths if path.exists()]):
        raise InputError(f"{there[0]} is there already; pass --overwrite to replace it, or choose another -o")
    return paths


def write_at_once(
    outputs: Outputs, items: Sequence[Item], overwrite: bool
) -> tuple[dict[str, Losses], list[Path]]:
    """Write all outputs of photos that are at hand: what each output could not hold, and the paths written.

    Raises :class:`InputError` when a file is there already and ``overwrite`` is off; nothing is written then.
    """
    paths = free_paths(outputs, [(item.key, item.photo.photo_hw) for item in items], overwrite)
    outputs = replace(outputs, categories=categories_of([item.photo for item in items]))
    losses: dict[str, Losses] = {}
    for output in outputs.per_photo:
        draws = output in (OVERLAY, CUTOUTS)
        lost = [
            write_output(outputs, output, item.key, item.photo, item.pixels() if draws else None)
            for item in items
        ]
        losses[output] = Losses.total(lost)
    for format_ in outputs.per_run:
        losses[format_.name] = write_run(outputs, format_, [item.photo for item in items])
    return {output: lost for output, lost in losses.items() if lost}, paths
