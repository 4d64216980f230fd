"""``everymask replace``: something else where something was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..media.videos import is_clip
from .erase.picture import Grow, Masks, PictureOutput, Wish, change_picture
from .shared.flags import with_flags
from .shared.options import INPUT, AsJson, Boxes, Device, Model, Overwrite, Points
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
    masks: Masks = None,
    output: PictureOutput = Path("out/replaced"),
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
    grow: Grow = None,
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

    painting = Painting(prompt, negative, steps, strength, guidance, seed)
    if is_clip(photo):
        raise InputError(f"{photo} is a video; things are replaced in photos alone (erase takes videos)")

    def opened() -> Diffusion:
        return Diffusion(str(folder_of(painter)), painting, device)

    wish = Wish(photo, points or [], boxes or [], masks or [], words, model, device)
    change_picture(wish, output, opened, grow, overwrite, as_json, "replace")
