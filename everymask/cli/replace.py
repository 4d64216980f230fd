"""``everymask replace``: something else where something was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .erase.command import target_of
from .erase.holes import asked_for
from .shared.flags import with_flags
from .shared.options import INPUT, OUTPUT, AsJson, Boxes, Device, Model, Overwrite, Points
from .shared.words import Words

PAINTING = "Painting"


@with_flags(words=Words)
def replace(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.")],
    prompt: Annotated[
        str,
        typer.Option(
            "--with", metavar="TEXT", help='What is to be there: "a red chair".', rich_help_panel=INPUT
        ),
    ],
    points: Points = None,
    boxes: Boxes = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="What is replaced: a picture whose black stays, or a mask file.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A picture file, or a folder; PNG and TIFF keep every other pixel as it is.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("out/replaced"),
    painter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What paints: sd15_inpaint (the default), or a folder that diffusers opens.",
            rich_help_panel=PAINTING,
        ),
    ] = None,
    negative: Annotated[
        str, typer.Option(metavar="TEXT", help="What should not be there.", rich_help_panel=PAINTING)
    ] = "",
    steps: Annotated[
        int, typer.Option(metavar="N", help="More take longer and paint finer.", rich_help_panel=PAINTING)
    ] = 30,
    strength: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Below 1: keep some of what was there.", rich_help_panel=PAINTING),
    ] = 1.0,
    guidance: Annotated[
        float,
        typer.Option(metavar="SCALE", help="How closely the text is followed.", rich_help_panel=PAINTING),
    ] = 7.5,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed, the same picture.", rich_help_panel=PAINTING)
    ] = 0,
    grow: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PX",
            help="Grow the mask so far, over which the new fades out; by default 2 to 12.",
            rich_help_panel=PAINTING,
        ),
    ] = None,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    model: Model = "nano",
    device: Device = None,
    *,
    words: Words,
) -> None:
    """Paint what --with says where something is that is clicked, boxed, named or masked.

    The photo keeps its size, depth, and every pixel outside of the grown mask. Needs weights of a model that
    paints (4.3 GB, fetched at the first run), and patience without a GPU.
    """
    from ..inpaint.diffusion import Diffusion, Painting, folder_of
    from ..inpaint.erase import checked_mask, filled, raw_pixels
    from ..inpaint.writing import write_picture

    painting = Painting(prompt, negative, steps, strength, guidance, seed)
    target = target_of(photo, output)
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; pass --overwrite to replace it, or choose another -o")
    folder = folder_of(painter)  # before any work: its weights may not be had
    pixels = raw_pixels(photo)
    chosen = model, device
    hole = asked_for(
        photo, pixels.shape[:2], points or [], boxes or [], masks or [], words, chosen, "replace"
    )
    checked_mask(hole, pixels.shape[:2])
    written = write_picture(target, filled(pixels, hole, Diffusion(str(folder), painting, device), grow))
    if as_json:
        typer.echo(json.dumps({"photo": str(photo), "area": int(hole.sum()), "written": [str(written)]}))
    typer.echo(f"replaced {int(hole.sum()):,} px", err=True)
    typer.echo(f"wrote {written}", err=True)
