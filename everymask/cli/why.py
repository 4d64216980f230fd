"""``everymask why``: what became of the candidates that hold a place, and what would bring them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..errors import InputError, PromptError
from ..masks.boxes import iou_matrix
from ..media.photos import read_pixels
from .segment.generator_flags import with_generator_flags
from .shared.options import AsJson, Bands, Device, Model, Page, Range, reading_of
from .shared.progress import counted

if TYPE_CHECKING:
    from ..everything.findings import Findings
    from ..everything.why import Reason
    from ..media.rasters import Pixels

DRAWN = 6
"""Candidates of a place that the picture shows."""

ACROSS = 4
"""Pictures beside each other."""

ALIKE = 0.7
"""Box IoU from which on a candidate is like another one, and not worth a line of its own."""

Place = tuple[float, float]
Told = tuple["Reason", int]
"""A reason to list, and how many like it are not."""


@with_generator_flags
def why(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.")],
    places: Annotated[
        list[str], typer.Argument(metavar="X,Y", help="Places in pixels, x right, y down; one or several.")
    ],
    most: Annotated[
        int, typer.Option("--most", min=1, metavar="N", help="Candidates to list of each place.")
    ] = 8,
    alike: Annotated[
        bool, typer.Option("--alike", help="List candidates whose box is much like that of one listed, too.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw the listed candidates, each over its reason."),
    ] = None,
    findings: Annotated[
        Path | None,
        typer.Option(
            "--findings",
            metavar="FILE",
            help="Keep what the model says in this file, and read it from there the next time.",
        ),
    ] = None,
    as_json: AsJson = False,
    range: Range = "percentile",
    page: Page = None,
    bands: Bands = None,
    model: Model = "nano",
    device: Device = None,
    *,
    options: dict[str, Any],
) -> None:
    """Say why a place of a photo has the mask it has, or none.

    Lists the candidates that hold the place, best first: the rule that dropped each, and the change of an
    option, tried out, that brings it back. Options of the generator are those of `everymask segment`.
    """
    asked = [read_place(text) for text in places]
    read = read_pixels(photo, **reading_of(range, page, bands))
    pixels = read.values
    found, thresholds = explored(read, findings, model, device, options)
    answers = []
    for place in asked:
        reasons = found.why(*place, **thresholds)
        told = ([(reason, 0) for reason in reasons] if alike else distinct(reasons))[:most]
        answers.append((place, told))
        if not as_json:
            told_of = lines(place, reasons, told) if found.has_data(*place) else [nothing_there(place)]
            typer.echo("\n".join(told_of))
    if as_json:
        typer.echo(json.dumps([_facts(*answer, found) for answer in answers], indent=2))
    if picture is not None:
        from .shared.outputs import save_picture

        shown = [(place, told[:DRAWN]) for place, told in answers]
        save_picture(picture, drawn(pixels, found, thresholds, shown))
        typer.echo(f"wrote {picture}", err=True)


def read_place(text: str) -> Place:
    """A place X,Y in pixels.

    >>> read_place("412,230")
    (412.0, 230.0)
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise PromptError(f"a place must be X,Y in pixels, got {text!r}") from None
    return x, y


def explored(
    read: Pixels, path: Path | None, model: str, device: str | None, options: dict[str, Any]
) -> tuple[Findings, dict[str, Any]]:
    """Findings of a photo, from a file where it is there, and the thresholds to ask them with."""
    from ..everything.findings import Findings
    from ..everything.generate import AutomaticMaskGenerator
    from ..everything.renditions import resolved
    from .shared.downloads import load_visibly

    photo, loaded = read.values, load_visibly(model, device)
    generator = AutomaticMaskGenerator(loaded, **options)
    if path is not None and path.exists():
        found = Findings.load(path, loaded, photo)
        options_now = resolved(generator.options, photo)
        chosen = {each.name: getattr(options_now, each.name) for each in fields(options_now)}
        try:
            found.with_thresholds(**chosen)
        except InputError as error:
            raise InputError(f"--findings {path}: {error}; or name another file") from error
        return found, chosen
    found = generator.explore(photo, progress=True, valid=read.valid)
    if path is not None:
        found.save(path)
        typer.echo(f"wrote {path}", err=True)
    return found, {}


def distinct(reasons: Sequence[Reason]) -> list[Told]:
    """The reasons without those whose box is much like an earlier one's, and how many each stands for."""
    if not reasons:
        return []
    boxes = np.array([reason.bbox for reason in reasons], np.float64)
    boxes[:, 2:] += boxes[:, :2]
    shared = iou_matrix(boxes, boxes)
    told: dict[int, int] = {}
    for number, reason in enumerate(reasons):
        like = next((n for n in told if shared[n, number] > ALIKE and reason.mask is None), None)
        if like is None:
            told[number] = 0
        else:
            told[like] += 1
    return [(reasons[number], count) for number, count in told.items()]


def lines(place: Place, reasons: Sequence[Reason], told: Sequence[Told]) -> list[str]:
    """What to say of a place, line by line: of all ``reasons`` those that are ``told``."""
    where = _where(place)
    if not reasons:
        return [
            f"{where}: no candidate holds this place or comes near it; ask about more points "
            "(--points-per-side) or look closer (--crop-n-layers)"
        ]
    if reasons[0].rule == "mask_threshold":
        said = [f"{where}: no candidate holds this place; the nearest:"]
    else:
        masks = [str(reason.mask) for reason in reasons if reason.mask is not None]
        by = f"in mask {', '.join(masks)}" if masks else "in no mask"
        said = [f"{where}: {by}; {counted(len(reasons), 'candidate')} {_hold(len(reasons))} it"]
    for number, (reason, like) in enumerate(told, 1):
        x, y = reason.point
        scores = f"predicted IoU {reason.predicted_iou:.2f}, stability {reason.stability_score:.2f}"
        text = reason.text if reason.mask is None else f"mask {reason.mask}, {scores}"
        more = f"; {like} more like it" if like else ""
        seen = "" if reason.rendition is None else f" of the {reason.rendition} photo"
        said.append(f"{number:3}. {text} (from the point {x:.0f}, {y:.0f}{seen}; box {_box(reason)}{more})")
        if reason.mask is None:
            said.append(f"     {reason.remedy or 'no change of a threshold brings it back'}")
    if left := len(reasons) - sum(1 + like for _, like in told):
        said.append(f"     and {left} more (--most N lists more, --alike all)")
    return said


def nothing_there(place: Place) -> str:
    """What to say of a place where a raster has no data."""
    return (
        f"{_where(place)}: the photo has no data here (nodata): nothing is asked, and no mask has this pixel"
    )


def drawn(
    photo: np.ndarray,
    found: Findings,
    thresholds: dict[str, Any],
    answers: Sequence[tuple[Place, Sequence[Told]]],
) -> np.ndarray:
    """The candidates of each place over the photo, a row a place, each under its reason."""
    from ..media.captions import contact_sheet
    from ..media.draw import draw_overlay
    from ..media.marks import with_marks

    rows = []
    for place, told in answers:
        panels = [(with_marks(photo, [(*place, 1)]), _where(place))]
        for number, (reason, _) in enumerate(told, 1):
            over = draw_overlay(photo, [found.candidate(reason.candidate, **thresholds).segmentation])
            kept = reason.mask is not None
            text = f"{number}. mask {reason.mask}" if kept else f"{number}. {reason.text}"
            below = "" if kept or reason.remedy is None else reason.remedy.flags
            panels.append((with_marks(over, [(*place, 1)]), f"{text}\n{below}"))
        rows += [panels[i : i + ACROSS] for i in range(0, len(panels), ACROSS)]
    return contact_sheet(rows)


def _where(place: Place) -> str:
    return f"({place[0]:g}, {place[1]:g})"


def _hold(count: int) -> str:
    return "holds" if count == 1 else "hold"


def _box(reason: Reason) -> str:
    x, y, width, height = reason.bbox
    return f"{width + 1} x {height + 1} at {x}, {y}"


def _facts(place: Place, told: Sequence[Told], found: Findings) -> dict[str, Any]:
    candidates = [{**reason.to_dict(), "more_like_it": like} for reason, like in told]
    return {"place": list(place), "data": found.has_data(*place), "candidates": candidates}
