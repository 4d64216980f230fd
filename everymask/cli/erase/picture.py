"""What `erase` and `replace` have in common: their options, and the way from a photo to a changed picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from ..shared.messages import note
from ..shared.options import INPUT, OUTPUT
from ..shared.words import Words
from .holes import asked_for

if TYPE_CHECKING:
    import numpy as np

    from ...inpaint.engines import Engine

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp")
FILLING = "Filling"

Masks = Annotated[
    list[Path] | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="What is meant: a picture whose black stays, or a mask file; of a video its tracks, too.",
        rich_help_panel=INPUT,
    ),
]
PictureOutput = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A picture file, or a folder; PNG and TIFF keep every other pixel as it is. "
        "A video: .mp4 or .mkv (lossless); a folder of pictures becomes one of PNGs.",
        rich_help_panel=OUTPUT,
    ),
]
Grow = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="PX",
        help="Grow the mask so far, over which what is new fades out; by default 2 to 12.",
        rich_help_panel=FILLING,
    ),
]


@dataclass(frozen=True)
class Wish:
    """Which photo is changed where, and by which model what is clicked or named is found."""

    photo: Path
    points: list[str]
    boxes: list[str]
    masks: list[Path]
    words: Words
    model: str
    device: str | None

    def hole(self, photo_hw: tuple[int, ...], verb: str) -> np.ndarray:
        """All that is meant, bool [H, W]."""
        found = self.model, self.device
        return asked_for(self.photo, photo_hw, self.points, self.boxes, self.masks, self.words, found, verb)


def change_picture(
    wish: Wish,
    output: Path,
    opened: Callable[[], Engine],
    grow: int | None,
    overwrite: bool,
    as_json: bool,
    verb: str,
) -> None:
    """Fill what is meant with the engine that ``opened`` gives, write the picture and say so.

    Raises :class:`InputError` where the picture is there already, before any work.
    """
    from ...inpaint.erase import checked_mask, filled, raw_pixels
    from ...inpaint.writing import file_for, write_picture
    from ...media.colour_profile import colour_profile, holds_profile

    asked = target_of(wish.photo, output)
    pixels = raw_pixels(wish.photo)
    target = file_for(asked, pixels)
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; pass --overwrite to replace it, or choose another -o")
    if target != asked:
        note(f"{asked.suffix[1:]} cannot hold {pixels.dtype} values; the picture goes to {target.name}")
    engine = opened()  # before any work: its weights may not be had
    hole = wish.hole(pixels.shape[:2], verb)
    checked_mask(hole, pixels.shape[:2])
    result = filled(pixels, hole, engine, grow)
    if target.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        note(f"{target.suffix[1:]} changes every pixel a little; .png and .tif keep them")
    profile = colour_profile(wish.photo, 1 if pixels.ndim == 2 else pixels.shape[2])
    if profile and not holds_profile(target.suffix):
        note(f"{target.suffix[1:]} is written without the photo's colour profile; .png and .jpg keep it")
    written = write_picture(target, result, profile)
    if as_json:
        typer.echo(json.dumps({"photo": str(wish.photo), "area": int(hole.sum()), "written": [str(written)]}))
    typer.echo(f"{verb}d {int(hole.sum()):,} px", err=True)
    typer.echo(f"wrote {written}", err=True)


def target_of(photo: Path, output: Path) -> Path:
    """The file to write: ``output`` itself where it names a picture, else the photo's name in that folder."""
    return output if output.suffix.lower() in PICTURES else output / f"{photo.stem}.png"
