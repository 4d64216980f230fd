"""The options that several commands share: one name, one explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError

Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for everything written.")]
Overlay = Annotated[bool, typer.Option("--overlay", help="The photo with its masks in colour.")]
Ids = Annotated[bool, typer.Option("--ids", help="Number the masks in the overlay.")]
Cutouts = Annotated[bool, typer.Option("--cutouts", help="Each object alone, as a transparent PNG.")]
Overlap = Annotated[
    str,
    typer.Option(
        help="keep: masks may share pixels where the format allows it. disjoint: each pixel to the "
        "smallest mask. nested: masks lie within or beside each other.",
    ),
]
Rings = Annotated[
    str,
    typer.Option(
        help="For YOLO, one outline a mask: bridge (join holes and parts by a seam) or largest.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout.")]
Range = Annotated[
    str,
    typer.Option(
        help="How 16-bit and float photos become 8-bit: percentile, minmax, dtype, or LOW,HIGH.",
    ),
]
Page = Annotated[int | None, typer.Option(help="Which page of files with several, from 0.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
Model = Annotated[
    str, typer.Option("--model", "-m", help="A name of `everymask models list`, or a checkpoint.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; by default the best.")]


def read_range(text: str) -> str | tuple[float, float]:
    """The value of --range: a rule's name, or two numbers; what it may be is checked where photos are read.

    >>> read_range("minmax"), read_range("0,4095")
    ('minmax', (0.0, 4095.0))
    """
    low, comma, high = text.partition(",")
    if not comma:
        return text
    try:
        return float(low), float(high)
    except ValueError:
        raise InputError(f"--range must be percentile, minmax, dtype or LOW,HIGH, got {text!r}") from None
