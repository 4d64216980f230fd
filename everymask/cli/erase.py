"""``everymask erase``: things taken out of a photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..errors import InputError, PromptError
from ..media.photos import read_photo
from .shared.flags import with_flags
from .shared.messages import note
from .shared.options import INPUT, OUTPUT, AsJson, Boxes, Device, Model, Overwrite, Points
from .shared.words import Words

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp")


@with_flags(words=Words)
def erase(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.")],
    points: Points = None,
    boxes: Boxes = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="What goes: a picture whose black stays, or a mask file.",
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
    """Take things out of a photo: what is clicked, boxed, named or masked, painted over with what is around.

    The photo keeps its size and depth. Without any download `patches` of the photo itself fill the hole.
    """
    from ..inpaint.engines import open_engine
    from ..inpaint.erase import checked_mask, filled, raw_pixels
    from ..inpaint.writing import write_picture

    target = target_of(photo, output)
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; pass --overwrite to replace it, or choose another -o")
    pixels = raw_pixels(photo)
    hole = asked_for(photo, pixels.shape[:2], points or [], boxes or [], masks or [], words, (model, device))
    checked_mask(hole, pixels.shape[:2])
    result = filled(pixels, hole, open_engine(engine), grow)
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


def asked_for(
    photo: Path,
    photo_hw: tuple[int, ...],
    points: list[str],
    boxes: list[str],
    masks: list[Path],
    words: Words,
    model: tuple[str, str | None],
) -> np.ndarray:
    """All that goes, bool [H, W]."""
    from .predict.command import ask
    from .predict.prompts import check_against, names_of, read_object_prompts
    from .shared.rough_masks import read_rough_mask

    if not (points or boxes or masks or words.asked):
        raise PromptError(
            "nothing to erase; give --point X,Y, --box X0,Y0,X1,Y1, --text WORDS or --mask FILE"
        )
    hole = np.zeros(photo_hw[:2], bool)
    for path in masks:
        hole |= read_rough_mask(path, photo_hw, several=True)
    if points or boxes:
        prompts = read_object_prompts(points, boxes, [])
        check_against(photo_hw, prompts)  # type: ignore[arg-type]
        for found in ask(*model, read_photo(photo), prompts, names_of([], prompts), {}, False):
            hole |= found.masks[0].segmentation
    if words.asked:
        from .shared.words import open_finder

        named = open_finder(*model, words, {}, {})(read_photo(photo), lambda done, total: None)
        if not len(named) and not hole.any():
            raise PromptError(f"no {' and no '.join(words.asked)} was found in {photo}; nothing was erased")
        for mask in named:
            hole |= mask.segmentation
    return hole
