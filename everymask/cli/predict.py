"""``everymask predict``: objects of one photo, from points, boxes and masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..errors import PromptError
from ..formats import FORMATS, PhotoMasks, read_masks
from ..formats.georeference import read_georeference
from ..maskset import Mask, MaskSet
from ..media.photos import read_photo
from .options import (
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
)
from .outputs import Item, choose_outputs, free_paths, write_at_once
from .segment import read_range


@dataclass
class ObjectPrompt:
    """Everything that is said about one object."""

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: list[float] | None = None
    mask: Path | None = None

    @property
    def is_ambiguous(self) -> bool:
        """A single click may mean a whole, a part or a part of that."""
        return len(self.points) == 1 and self.box is None and self.mask is None


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
    from ..image import ImagePredictor
    from .downloads import load_visibly

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


def read_object_prompts(
    points: Sequence[str], boxes: Sequence[str], masks: Sequence[str]
) -> dict[str, ObjectPrompt]:
    """What the flags say about each object, by its id.

    >>> read_object_prompts(["3,4", "5,6,0"], [], [])["1"].labels
    [1, 0]
    """
    objects: dict[str, ObjectPrompt] = {}
    several_boxes = len(boxes) > 1 and not any("@" in box for box in boxes)
    if several_boxes and any("@" not in text for text in (*points, *masks)):
        raise PromptError(
            f"with {len(boxes)} boxes a point or mask must say whose it is; write @1, @2, ... after it: "
            "the boxes count from 1"
        )
    for number, text in enumerate(boxes, 1):
        value, name = _split(text, str(number) if several_boxes else "1")
        prompt = objects.setdefault(name, ObjectPrompt())
        if prompt.box is not None:
            raise PromptError(f"object {name} has two boxes; give each object one")
        prompt.box = _numbers(value, "--box", (4,))
    for text in points:
        value, name = _split(text, "1")
        x, y, *label = _numbers(value, "--point", (2, 3))
        if label and label[0] not in (0, 1):
            raise PromptError(f"the third number of --point is 1 (object) or 0 (not), got {text!r}")
        prompt = objects.setdefault(name, ObjectPrompt())
        prompt.points.append((x, y))
        prompt.labels.append(int(label[0]) if label else 1)
    for text in masks:
        value, name = _split(text, "1")
        objects.setdefault(name, ObjectPrompt()).mask = Path(value)
    if not objects:
        raise PromptError("nothing is asked for; give --point X,Y or --box X0,Y0,X1,Y1 or --mask FILE")
    return objects


def _split(text: str, default_id: str) -> tuple[str, str]:
    value, _, name = text.rpartition("@") if "@" in text else (text, "", default_id)
    return value, name


def _numbers(text: str, flag: str, counts: tuple[int, ...]) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        expected = {"--point": "X,Y or X,Y,0|1", "--box": "X0,Y0,X1,Y1"}[flag]
        raise PromptError(f"{flag} must be {expected} in pixels, got {text!r}")
    return numbers


def read_rough_mask(path: Path, photo_hw: tuple[int, ...]) -> np.ndarray:
    """A mask prompt, bool [H, W]: a picture whose black is outside, or a mask file with one mask."""
    if path.suffix.lower() in {".png", ".tif", ".tiff", ".bmp", ".webp"}:
        pixels = read_photo(path, range="minmax").max(axis=2) > 0
    elif path.suffix.lower() in {".jpg", ".jpeg"}:
        pixels = read_photo(path).max(axis=2) > 127  # JPEG's black is not quite black
    else:
        masks = read_masks(path, photo_hw=(photo_hw[0], photo_hw[1]))
        if len(masks) != 1:
            raise PromptError(f"--mask {path} must hold one mask, it holds {len(masks)}")
        pixels = masks[0].segmentation
    if pixels.shape != tuple(photo_hw):
        raise PromptError(
            f"--mask {path} is {pixels.shape[1]} x {pixels.shape[0]}, the photo {photo_hw[1]} x {photo_hw[0]}"
        )
    return pixels


def _facts(photo: Path, found: MaskSet, written: list[Path]) -> dict[str, Any]:
    masks = [
        {"object": m.label, "predicted_iou": m.predicted_iou, "area": m.area, "bbox": list(m.bbox)}
        for m in found
    ]
    return {"photo": str(photo), "masks": masks, "written": [str(path) for path in written]}
