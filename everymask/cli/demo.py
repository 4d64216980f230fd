"""``everymask demo``: from nothing to masks of the bundled photo, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path

import typer

from ..everything.keep import Keep
from ..formats import PhotoMasks
from ..media.photos import read_photo
from .shared.engine import open_segmenter
from .shared.look import Look
from .shared.options import Device, Model, Output
from .shared.outputs import Item, choose_outputs, write_at_once
from .shared.progress import duration

PHOTO = Path(__file__).resolve().parents[1] / "assets" / "cat.jpg"
ON_THE_CAT = "120,180"


def demo(
    output: Output = Path("out/demo"),
    model: Model = "nano",
    device: Device = None,
) -> None:
    """Find every object of a bundled photo with the bundled model; nothing is downloaded."""
    photo = output / PHOTO.name
    output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PHOTO, photo)
    pixels = read_photo(photo)
    height, width = pixels.shape[:2]
    typer.echo(f"photo     {photo}, {width} x {height} pixels, CC0")  # before torch takes its second or two
    begun = time.monotonic()
    segmenter = open_segmenter(model, device, {}, {})
    loaded = time.monotonic()
    typer.echo(f"model     {model}, loaded in {duration(loaded - begun)}")
    masks = segmenter(pixels, lambda done, total: None)
    seconds = time.monotonic() - loaded
    outputs = choose_outputs(output, ["coco"], Look(overlay=True), Keep(), overlap="keep", rings="bridge")
    record = PhotoMasks(PHOTO.name, masks, None, segmenter.model_hash)
    write_at_once(outputs, [Item(PHOTO.stem, record, lambda: pixels)], overwrite=True)
    share = int(masks.segmentations().any(axis=0).sum()) / (height * width)
    typer.echo(f"masks     {len(masks)} in {duration(seconds)}; they cover {share:.0%} of the photo")
    if len(masks):
        areas = masks.areas
        typer.echo(f"sizes     {areas.min():,} to {areas.max():,} pixels")
    else:
        typer.echo("          none passed the filters; a lower --pred-iou-thresh lets more through")
    typer.echo(f"picture   {outputs.path_of('overlay', PHOTO.stem, masks.photo_hw)}   <- look at this first")
    typer.echo(f"file      {outputs.run_path(outputs.formats[0])}")
    for number, (command, why) in enumerate(next_steps(photo, output)):
        typer.echo(f"{'next' if not number else '':<10}{command}")
        typer.echo(f"{'':<10}    {why}")


def next_steps(photo: Path, output: Path) -> list[tuple[str, str]]:
    """Commands that run as they stand, and what each is for."""
    where, click, every = (
        shlex.quote(path.as_posix()) for path in (photo, output / "click", output / "every")
    )
    return [
        (f"everymask predict {where} -p {ON_THE_CAT} -o {click}", "one object, from a click"),
        (f"everymask segment {where} --overlay --cutouts -o {every}", "every object; yours: another photo"),
        ("everymask models list", "the official checkpoints: better masks"),
        ("everymask doctor --quick", "is this machine set up well?"),
    ]
