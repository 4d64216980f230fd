"""``everymask evaluate``: clicks, boxes, everything mode and edges, measured on photos with masks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

MEANINGS = {
    "regions": "regions of at least 1% of their photo, all annotators",
    "click_best": "IoU, one click at a region's innermost pixel, best of the masks",
    "click_top": "the same, the mask with the highest predicted IoU",
    "click_single": "the same, the one-mask answer",
    "box_iou": "IoU, the region's box as the prompt",
    "rank_correlation": "of predicted with true IoU",
    "abo": "everything mode: mean best overlap of the regions",
    "coverage": "share of pixels under a mask",
    "edge_f": "borders against human borders (compare with itself only)",
    "masks_per_photo": "",
    "seconds_per_photo": "median",
}


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Photos with label maps: NAME.jpg beside NAME_0.png, ...")],
    model: Annotated[str, typer.Option("--model", "-m", help="A name or a weights file.")] = "nano",
    limit: Annotated[
        int | None, typer.Option("--limit", help="So many photos, spread over the folder.")
    ] = None,
    grid: Annotated[int, typer.Option("--grid", help="Points along a side in everything mode.")] = 32,
    everything: Annotated[
        bool, typer.Option("--everything/--no-everything", help="Also everything mode.")
    ] = True,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or mps.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure a model on photos with known masks."""
    from ..evaluate.data import annotated_photos
    from ..evaluate.everything import score_everything
    from ..evaluate.prompted import score_prompts
    from ..everything.generate import AutomaticMaskGenerator
    from ..models.load import load

    photos = list(annotated_photos(folder, limit))
    judged = load(model, device)
    scores: dict[str, float] = {"photos": len(photos), **asdict(score_prompts(judged, photos))}
    if everything:
        generator = AutomaticMaskGenerator(judged, points_per_side=grid)
        scores |= asdict(score_everything(generator, photos))
    if as_json:
        typer.echo(json.dumps(scores, indent=2))
        return
    for name, value in scores.items():
        number = f"{value:10d}" if isinstance(value, int) else f"{value:10.4f}"
        typer.echo(f"{name:18s}{number}   {MEANINGS.get(name, '')}".rstrip())
