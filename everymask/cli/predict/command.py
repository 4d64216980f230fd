"""``everymask predict``: objects of one photo, from points, boxes and masks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ...formats import FORMATS, PhotoMasks
from ...formats.georeference import read_georeference
from ...maskset import Mask, MaskSet
from ...media.photos import read_photo
from ..shared.messages import disobedience, note, warn
from ..shared.options import (
    AsJson,
    Cutouts,
    Device,
    Ids,
    Model,
    Output,
    Overlap,
    Overlay,
    Overwrite,
    Page,
    Range,
    Rings,
    read_range,
)
from ..shared.outputs import Item, choose_outputs, free_paths, write_at_once
from ..shared.rough_masks import read_rough_mask
from .prompts import ObjectPrompt, read_object_prompts

if TYPE_CHECKING:
    from ...image import Answer, Click, ClickSession


@dataclass(frozen=True)
class Found:
    """What came of the prompts of one object."""

    name: str
    masks: list[Mask]
    disobeyed: tuple[Click, ...]


def predict(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.")],
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--point", "-p", metavar="X,Y[,0|1][@ID]", help="A click: 1 on the object (default), 0 not."
        ),
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option("--box", "-b", metavar="X0,Y0,X1,Y1[@ID]", help="A box around an object."),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(
            "--mask", metavar="FILE[@ID]", help="A rough mask to improve: a picture or a mask file."
        ),
    ] = None,
    multimask: Annotated[
        bool, typer.Option("--multimask", help="Write all three candidates of each object, best first.")
    ] = False,
    output: Output = Path("out"),
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", metavar="NAME", help=f"May be repeated: {', '.join(FORMATS)}."),
    ] = None,
    overlay: Overlay = False,
    ids: Ids = False,
    cutouts: Cutouts = False,
    overlap: Overlap = "keep",
    rings: Rings = "bridge",
    as_json: AsJson = False,
    range: Range = "percentile",
    page: Page = None,
    overwrite: Overwrite = False,
    model: Model = "nano",
    device: Device = None,
) -> None:
    """Find objects of a photo from points, boxes and masks (pixels, x right, y down).

    Points and one box or mask speak of one object together; several boxes are several objects. @1, @2, ...
    after a value says which object it is about. With nothing asked for, COCO and an overlay are written.
    """
    prompts = read_object_prompts(points or [], boxes or [], masks or [])
    outputs = choose_outputs(output, formats or [], overlay, cutouts, ids, overlap, rings)
    pixels = read_photo(photo, range=read_range(range), page=page)  # type: ignore[arg-type]
    free_paths(outputs, [(photo.stem, pixels.shape[:2])], overwrite)  # said before the model works
    answers = ask(model, device, pixels, prompts, multimask)
    found = MaskSet([mask for each in answers for mask in each.masks], pixels.shape[:2])
    record = PhotoMasks(photo.name, found, read_georeference(photo), source=photo)
    losses, written = write_at_once(outputs, [Item(photo.stem, record, lambda: pixels)], overwrite)
    if as_json:
        typer.echo(json.dumps(_facts(photo, found, written), indent=2))
    for mask in found:
        typer.echo(f"{mask.label}: {mask.area:,} px, estimated IoU {mask.predicted_iou:.2f}", err=True)
    for each in answers:
        for click in each.disobeyed:
            warn(disobedience(each.name, click.x, click.y, click.include))
    for name, lost in losses.items():
        note(f"{name} cannot hold all: {lost}")
    for path in written:
        typer.echo(f"wrote {path}", err=True)


def ask(
    model: str, device: str | None, photo: np.ndarray, prompts: dict[str, ObjectPrompt], multimask: bool
) -> list[Found]:
    """The masks of each object, best first, labelled "object 1", ..., and the clicks they do not obey."""
    from ...image import ClickSession, ImagePredictor
    from ..shared.downloads import load_visibly

    predictor = ImagePredictor(load_visibly(model, device))
    predictor.set_image(photo)
    found = []
    for name, prompt in prompts.items():
        session = ClickSession(predictor)
        answer = said(session, prompt)
        if multimask:
            answer = session.alternatives()
        clicks = [(click.x, click.y) for click in session.clicks if click.include] or None
        masks = [
            Mask.from_segmentation(
                answer.masks[index],
                label=f"object {name}",
                predicted_iou=float(answer.scores[index]),
                point_coords=clicks,
            )
            for index in np.argsort(-answer.scores, kind="stable")
        ]
        found.append(Found(name, masks, () if multimask else session.disobeyed))
    return found


def said(session: ClickSession, prompt: ObjectPrompt) -> Answer:
    """The answer to all that is said of an object: box and mask, then the clicks, one correcting another."""
    answer = None
    if prompt.mask is not None:
        answer = session.start_from(read_rough_mask(prompt.mask, session.photo_hw), prompt.box)
    elif prompt.box is not None:
        answer = session.box(*prompt.box)
    if prompt.points:
        answer = session.replay(
            (x, y, label) for (x, y), label in zip(prompt.points, prompt.labels, strict=True)
        )
    assert answer is not None, "a prompt says something"
    return answer


def _facts(photo: Path, found: MaskSet, written: list[Path]) -> dict[str, Any]:
    masks = [
        {"object": m.label, "predicted_iou": m.predicted_iou, "area": m.area, "bbox": list(m.bbox)}
        for m in found
    ]
    return {"photo": str(photo), "masks": masks, "written": [str(path) for path in written]}
