"""``everymask evaluate``: clicks, boxes, everything mode and edges, measured on photos with masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared.option_files import OptionsFile, options_of

MEANINGS = {
    "regions": "regions of at least 1% of their photo, all annotators",
    "click_best": "IoU, one click at a region's innermost pixel, best of the masks",
    "click_top": "the same, the mask with the highest predicted IoU",
    "click_single": "the same, the one-mask answer",
    "box_iou": "IoU, the region's box as the prompt",
    "rank_correlation": "of predicted with true IoU",
    "one_by_one": "IoU after 1, 2, ... clicks, each where the answer before was most wrong",
    "at_once": "the same clicks in one call",
    "disobeyed": "share of clicks that the last answer does not obey, one by one",
    "disobeyed_at_once": "the same, in one call",
    "clicks_to_80": "clicks until the IoU is 0.8, one by one",
    "abo": "everything mode: mean best overlap of the regions",
    "coverage": "share of pixels under a mask",
    "edge_f": "borders against human borders (compare with itself only)",
    "masks_per_photo": "",
    "seconds_per_photo": "median",
}


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Photos; with label maps beside them: NAME_0.png, ...")],
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Masks of any format: a file for all, or a folder.")
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="A name or a weights file.")] = "nano",
    limit: Annotated[
        int | None, typer.Option("--limit", help="So many photos, spread over the folder.")
    ] = None,
    clicks: Annotated[
        int, typer.Option("--clicks", min=0, max=20, help="Also so many clicks that correct one another.")
    ] = 0,
    grid: Annotated[
        int | None, typer.Option("--grid", help="Points along a side in everything mode. (32)")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything/--no-everything", help="Also everything mode.")
    ] = True,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or mps.")] = None,
    options_file: OptionsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure a model on photos with known masks."""
    from ..errors import InputError
    from ..evaluate.clicked import score_clicks
    from ..evaluate.data import annotated_photos
    from ..evaluate.everything import score_everything
    from ..evaluate.prompted import score_prompts
    from ..everything.generate import AutomaticMaskGenerator
    from ..models.load import load

    options = options_of(options_file, model)
    photos = list(annotated_photos(folder, limit, masks=masks))
    if not any(example.regions() for example in photos):
        raise InputError(f"no mask of these {len(photos)} photos has 1% of its photo; nothing to measure")
    judged = load(model, device)
    scores: dict[str, Any] = {"photos": len(photos), **asdict(score_prompts(judged, photos))}
    if clicks:
        scores |= asdict(score_clicks(judged, photos, clicks))
    if everything:
        if grid is not None:
            options["points_per_side"] = grid
        generator = AutomaticMaskGenerator(judged, **options)
        scores |= asdict(score_everything(generator, photos))
    if as_json:
        typer.echo(json.dumps(scores, indent=2))
        return
    say_scores(scores)


def say_scores(scores: dict[str, Any]) -> None:
    """One score a line, with what it means."""
    for name, value in scores.items():
        typer.echo(f"{name:18s}{_shown(value):>10s}   {MEANINGS.get(name, '')}".rstrip())


def _shown(value: float | Sequence[float]) -> str:
    if isinstance(value, Sequence):
        return " ".join(f"{each:.3f}" for each in value)
    return str(value) if isinstance(value, int) else f"{value:.4f}"
