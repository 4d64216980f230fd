"""``everymask predict``: objects of one photo, from points, boxes and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...formats import FORMATS, PhotoMasks
from ...formats.georeference import read_georeference
from ...maskset import Mask, MaskSet
from ...media.photos import read_photo
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
    found = ask(model, device, pixels, prompts, multimask)
    record = PhotoMasks(photo.name, found, read_georeference(photo), source=photo)
    losses, written = write_at_once(outputs, [Item(photo.stem, record, lambda: pixels)], overwrite)
    if as_json:
        typer.echo(json.dumps(_facts(photo, found, written), indent=2))
    for mask in found:
        typer.echo(f"{mask.label}: {mask.area:,} px, estimated IoU {mask.predicted_iou:.2f}", err=True)
    for name, lost in losses.items():
        typer.echo(f"{name} cannot hold all: {lost}", err=True)
    for path in written:
        typer.echo(f"wrote {path}", err=True)


def ask(
    model: str, device: str | None, photo: np.ndarray, prompts: dict[str, ObjectPrompt], multimask: bool
) -> MaskSet:
    """The masks of all objects, those of one object best first; labelled "object 1", ..."""
    from ...image import ImagePredictor
    from ..shared.downloads import load_visibly

    predictor = ImagePredictor(load_visibly(model, device))
    predictor.set_image(photo)
    found: list[Mask] = []
    for name, prompt in prompts.items():
        answer = predictor.predict(
            points=prompt.points or None,
            labels=prompt.labels or None,
            box=prompt.box,
            mask=None if prompt.mask is None else read_rough_mask(prompt.mask, photo.shape[:2]),
            multimask=multimask or prompt.is_ambiguous,
        )
        best_first = np.argsort(-answer.scores, kind="stable")
        for index in best_first if multimask else best_first[:1]:
            clicks = [xy for xy, label in zip(prompt.points, prompt.labels, strict=True) if label == 1]
            known = {"predicted_iou": float(answer.scores[index]), "point_coords": clicks or None}
            found.append(Mask.from_segmentation(answer.masks[index], label=f"object {name}", **known))
    return MaskSet(found, photo.shape[:2])


def _facts(photo: Path, found: MaskSet, written: list[Path]) -> dict[str, Any]:
    masks = [
        {"object": m.label, "predicted_iou": m.predicted_iou, "area": m.area, "bbox": list(m.bbox)}
        for m in found
    ]
    return {"photo": str(photo), "masks": masks, "written": [str(path) for path in written]}
