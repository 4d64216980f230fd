"""``everymask erase``: things taken out of a photo, or out of a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError
from ...media.videos import is_clip
from ..shared.flags import with_flags
from ..shared.messages import note
from ..shared.options import INPUT, OUTPUT, AsJson, Boxes, Device, Model, Overwrite, Points
from ..shared.words import Words
from .holes import asked_for

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp")


@with_flags(words=Words)
def erase(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO|VIDEO", help="The photo, or a video.")],
    points: Points = None,
    boxes: Boxes = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="What goes: a picture whose black stays, or a mask file; of a video its tracks, too.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A picture file, or a folder; PNG and TIFF keep every other pixel as it is. "
            "A video: .mp4 or .mkv (lossless); a folder of pictures becomes one of PNGs.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("out/erased"),
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="opencv, patches, migan or lama; by default the best one that is here.",
            rich_help_panel="Filling",
        ),
    ] = None,
    grow: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PX",
            help="Grow the mask so far, over which the fill fades out; by default 2 to 12.",
            rich_help_panel="Filling",
        ),
    ] = None,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    model: Model = "nano",
    device: Device = None,
    *,
    words: Words,
) -> None:
    """Take things out of a photo or video: what is clicked, boxed, named or masked.

    The photo keeps its size and depth. Without any download `patches` of the photo itself fill the hole.
    Of a video, what is clicked on frame 1 (or FRAME:X,Y) or named is tracked, then filled with what other
    frames show behind it, and with the engine where none does.
    """
    if is_clip(photo):
        from .clip import Wanted, erase_clip

        wanted = Wanted(photo, points or [], boxes or [], masks or [], words, model, device)
        erase_clip(wanted, output, engine, grow, overwrite, as_json)
        return
    from ...inpaint.engines import open_engine
    from ...inpaint.erase import checked_mask, filled, raw_pixels
    from ...inpaint.writing import write_picture

    target = target_of(photo, output)
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; pass --overwrite to replace it, or choose another -o")
    filler = open_engine(engine)  # before any work: its weights may not be had
    pixels = raw_pixels(photo)
    hole = asked_for(photo, pixels.shape[:2], points or [], boxes or [], masks or [], words, (model, device))
    checked_mask(hole, pixels.shape[:2])
    result = filled(pixels, hole, filler, grow)
    if target.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        note(f"{target.suffix[1:]} changes every pixel a little; .png and .tif keep them")
    written = write_picture(target, result)
    if as_json:
        typer.echo(json.dumps({"photo": str(photo), "area": int(hole.sum()), "written": [str(written)]}))
    typer.echo(f"erased {int(hole.sum()):,} px", err=True)
    typer.echo(f"wrote {written}", err=True)


def target_of(photo: Path, output: Path) -> Path:
    """The file to write: ``output`` itself where it names a picture, else the photo's name in that folder."""
    return output if output.suffix.lower() in PICTURES else output / f"{photo.stem}.png"
