"""``everymask predict``: objects of one photo, from points, boxes and masks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ...everything.keep import Keep, nothing_left
from ...formats import PhotoMasks
from ...formats.georeference import read_georeference
from ...maskset import Mask, MaskSet
from ...media.photos import read_pixels
from ..shared.flags import with_flags
from ..shared.look import Look
from ..shared.messages import disobedience, note, warn
from ..shared.options import (
    INPUT,
    OUTPUT,
    AsJson,
    Bands,
    Boxes,
    Device,
    Formats,
    Model,
    Output,
    Overlap,
    Overwrite,
    Page,
    Points,
    Range,
    Rings,
    reading_of,
)
from ..shared.outputs import Asked, Item, choose_outputs, free_paths, write_at_once
from .earlier import Earlier
from .prompts import ObjectPrompt, check_against, names_of, read_object_prompts

if TYPE_CHECKING:
    from ...image import Answer, Click, ClickSession, ImagePredictor
    from ...image.clicks import Predictor


@with_flags(look=Look, keep=Keep)
def predict(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.")],
    points: Points = None,
    boxes: Boxes = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(
            "--mask",
            metavar="FILE[@ID]",
            help="A rough mask to improve: a picture, black outside and one value inside, or a mask file.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@ID]", help="What the object is called, in every file.", rich_help_panel=INPUT
        ),
    ] = None,
    multimask: Annotated[
        bool,
        typer.Option(
            "--multimask",
            help="Write all three candidates of each object, best first; the overlay shows them together.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    output: Output = Path("out"),
    formats: Formats = None,
    overlap: Overlap = "keep",
    rings: Rings = "bridge",
    as_json: AsJson = False,
    range: Range = "percentile",
    page: Page = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
    model: Model = "nano",
    device: Device = None,
    *,
    look: Look,
    keep: Keep,
) -> None:
    """Find objects of a photo from points, boxes and masks (pixels, x right, y down).

    Points and one box or mask speak of one object together; several boxes are several objects. @1, @2, ...
    after a value says which object it is about, @1=dog also what it is called. What an earlier predict wrote
    is replaced, as long as nobody changed it since.
    """
    prompts = read_object_prompts(points or [], boxes or [], masks or [])
    names = names_of(label or [], prompts)
    read = read_pixels(photo, **reading_of(range, page, bands))
    pixels = read.values
    rough = check_against(pixels.shape[:2], prompts)
    outputs = choose_outputs(output, formats or [], look, keep, overlap, rings)
    earlier = Earlier(output)
    free_paths(outputs, [(photo.stem, pixels.shape[:2])], overwrite, earlier.may_replace)
    answers = ask(model, device, pixels, prompts, names, rough, multimask, read.valid)
    found = MaskSet([mask for each in answers for mask in each.masks], pixels.shape[:2], valid=read.valid)
    record = PhotoMasks(photo.name, found, read_georeference(photo), source=photo)
    item = Item(photo.stem, record, lambda: pixels, asked_for(prompts, answers, multimask))
    losses, written = write_at_once(outputs, [item], overwrite=True)
    earlier.note(written)
    tell(photo, answers, keep, written, as_json)
    for name, lost in losses.items():
        note(f"{name} cannot hold all: {lost}")
    for path in written:
        typer.echo(f"wrote {path}", err=True)


@dataclass(frozen=True)
class Found:
    """What came of the prompts of one object."""

    object_id: str
    masks: list[Mask]
    disobeyed: tuple[Click, ...]


def ask(
    model: str,
    device: str | None,
    photo: np.ndarray,
    prompts: dict[str, ObjectPrompt],
    names: dict[str, str],
    rough: dict[str, np.ndarray],
    multimask: bool,
    valid: np.ndarray | None = None,
) -> list[Found]:
    """The masks of each object, best first, with its name, and the clicks they do not obey.

    ``valid``, bool [H, W], is where the photo has data; None: everywhere.
    """
    from ...image.clicks import ClickSession

    predictor = predictor_for(model, device, photo, bool(rough), valid)
    found = []
    for object_id, prompt in prompts.items():
        session = ClickSession(predictor)
        answer = said(session, prompt, rough.get(object_id))
        if multimask:
            answer = session.alternatives()
        clicks = [(click.x, click.y) for click in session.clicks if click.include] or None
        masks = [
            Mask.from_segmentation(
                answer.masks[index],
                label=names[object_id],
                predicted_iou=float(answer.scores[index]),
                point_coords=clicks,
            )
            for index in np.argsort(-answer.scores, kind="stable")
        ]
        found.append(Found(object_id, masks, () if multimask else session.disobeyed))
    return found


def predictor_for(
    model: str, device: str | None, photo: np.ndarray, has_masks: bool, valid: np.ndarray | None = None
) -> Predictor:
    """Who answers on the photo: what earlier runs kept of it, which needs no torch, or else the model.

    What can be kept is answered from what is kept, the first time too: the same command gives the same
    masks, bit for bit.
    """
    if has_masks or device not in (None, "cpu"):
        return loaded_predictor(model, device, photo, valid)
    from ...image.kept import kept_predictor

    known = kept_predictor(model, photo, valid)
    if known is not None:
        return known
    loaded = loaded_predictor(model, device, photo, valid)
    from ...models.without_torch import keep_decoder

    keep_decoder(model, loaded.model)
    return kept_predictor(model, photo, valid) or loaded


def loaded_predictor(
    model: str, device: str | None, photo: np.ndarray, valid: np.ndarray | None = None
) -> ImagePredictor:
    """The model itself, with the photo set."""
    from ...image import ImagePredictor
    from ...models.feature_cache import default_cache
    from ..shared.downloads import load_visibly

    predictor = ImagePredictor(load_visibly(model, device), cache=default_cache())
    predictor.set_image(photo, valid=valid)
    return predictor


def said(session: ClickSession, prompt: ObjectPrompt, rough: np.ndarray | None) -> Answer:
    """The answer to all that is said of an object: box and mask, then the clicks, one correcting another."""
    answer = None
    if rough is not None:
        answer = session.start_from(rough, prompt.box)
    elif prompt.box is not None:
        answer = session.box(*prompt.box)
    if prompt.points:
        clicks = zip(prompt.points, prompt.labels, strict=True)
        answer = session.replay((x, y, label) for (x, y), label in clicks)
    assert answer is not None, "a prompt says something"
    return answer


def asked_for(prompts: dict[str, ObjectPrompt], answers: list[Found], multimask: bool) -> Asked:
    """What the overlay shows besides masks: clicks, boxes, and candidates side by side."""
    clicks = [
        (*xy, label) for each in prompts.values() for xy, label in zip(each.points, each.labels, strict=True)
    ]
    boxes = [tuple(each.box) for each in prompts.values() if each.box is not None]
    panels: list[tuple[int, ...]] = []
    if multimask:
        count = len(answers[0].masks)
        panels = [tuple(place * count + rank for place in range(len(answers))) for rank in range(count)]
    return Asked(tuple(clicks), tuple(boxes), tuple(panels))


def tell(photo: Path, answers: list[Found], keep: Keep, written: list[Path], as_json: bool) -> None:
    """What was found, for people on stderr, for programs on stdout."""
    everything = [(each, rank, mask) for each in answers for rank, mask in enumerate(each.masks, 1)]
    kept = keep.apply(MaskSet([mask for _, _, mask in everything]))
    if as_json:
        typer.echo(json.dumps(_facts(photo, kept, written), indent=2))
    for each, rank, mask in everything:
        which = f" {rank}" if len(each.masks) > 1 else ""
        typer.echo(f"{mask.label}{which}: {mask.area:,} px, estimated IoU {mask.predicted_iou:.2f}", err=True)
    for each in answers:
        for click in each.disobeyed:
            warn(disobedience(each.object_id, click.x, click.y, click.include))
    if not kept:
        warn(nothing_left(len(everything), keep))


def _facts(photo: Path, found: MaskSet, written: list[Path]) -> dict[str, Any]:
    masks = [
        {"object": m.label, "predicted_iou": m.predicted_iou, "area": m.area, "bbox": list(m.bbox)}
        for m in found
    ]
    return {"photo": str(photo), "masks": masks, "written": [str(path) for path in written]}
