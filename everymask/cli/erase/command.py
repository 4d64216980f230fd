"""``everymask erase``: things taken out of a photo, or out of a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...media.videos import is_clip
from ..shared.flags import with_flags
from ..shared.options import AsJson, Boxes, Device, Model, Overwrite, Points
from ..shared.words import Words
from .picture import FILLING, Grow, Masks, PictureOutput, Wish, change_picture


@with_flags(words=Words)
def erase(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO|VIDEO", help="The photo, or a video.")],
    points: Points = None,
    boxes: Boxes = None,
    masks: Masks = None,
    output: PictureOutput = Path("out/erased"),
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="opencv, patches, migan or lama; by default the best one that is here.",
            rich_help_panel=FILLING,
        ),
    ] = None,
    grow: Grow = None,
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
    wish = Wish(photo, points or [], boxes or [], masks or [], words, model, device)
    if is_clip(photo):
        from .clip import erase_clip

        erase_clip(wish, output, engine, grow, overwrite, as_json)
        return
    from ...inpaint.engines import open_engine

    change_picture(wish, output, lambda: open_engine(engine), grow, overwrite, as_json, "erase")
