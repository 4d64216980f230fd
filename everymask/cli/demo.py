"""``everymask demo``: from nothing to masks of the bundled photo, and what to do next."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from ..formats import PhotoMasks
from ..media.photos import read_photo
from .shared.engine import open_segmenter
from .shared.keep import Keep
from .shared.look import Look
from .shared.options import Device, Model, Output
from .shared.outputs import Item, choose_outputs, write_at_once
from .shared.progress import duration

PHOTO = Path(__file__).resolve().parents[1] / "assets" / "photo.jpg"
SURE = {"pred_iou_thresh": 0.45, "stability_score_thresh": 0.8, "box_nms_thresh": 0.6}
"""For nano, whose defaults keep many unsure masks to miss little: a first picture should be tidy."""


def demo(
    output: Output = Path("out/demo"),
    model: Model = "nano",
    device: Device = None,
) -> None:
    """Find every object of a bundled photo with the bundled model; nothing is downloaded."""
    pixels = read_photo(PHOTO)
    begun = time.monotonic()
    options = SURE if model == "nano" else {}
    segmenter = open_segmenter(model, device, dict(options), {})
    loaded = time.monotonic()
    masks = segmenter(pixels, lambda done, total: None)
    seconds = time.monotonic() - loaded
    outputs = choose_outputs(output, ["coco"], Look(overlay=True), Keep(), overlap="keep", rings="bridge")
    record = PhotoMasks(PHOTO.name, masks, None, segmenter.model_hash)
    write_at_once(outputs, [Item(PHOTO.stem, record, lambda: pixels)], overwrite=True)
    height, width = masks.photo_hw
    share = int(masks.segmentations().any(axis=0).sum()) / (height * width)
    typer.echo(f"photo     {PHOTO.name}, {width} x {height} pixels, CC0")
    typer.echo(f"model     {model}, loaded in {duration(loaded - begun)}")
    typer.echo(f"masks     {len(masks)} in {duration(seconds)}; they cover {share:.0%} of the photo")
    if options:
        typer.echo("options   " + " ".join(f"--{name.replace('_', '-')} {x}" for name, x in options.items()))
    if len(masks):
        areas = masks.areas
        typer.echo(f"sizes     {areas.min():,} to {areas.max():,} pixels")
    else:
        typer.echo("          none passed the filters; try: everymask segment PHOTO --pred-iou-thresh 0.5")
    typer.echo(f"picture   {outputs.path_of('overlay', PHOTO.stem, masks.photo_hw)}   <- look at this first")
    typer.echo(f"file      {outputs.run_path(outputs.formats[0])}")
    typer.echo("next      everymask segment YOUR_PHOTO.jpg --overlay --cutouts")
    typer.echo("          everymask models list     (the official checkpoints: better masks)")
    typer.echo("          everymask doctor          (is this machine set up well?)")
