"""The options that several commands share: one name, one explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...errors import InputError
from ...formats import FORMATS
from ...media.rasters import check_bands

INPUT, OUTPUT, MODEL = "Input", "Output", "Model"
"""Groups of ``--help``; those of dataclasses stand with them as ``PANEL``."""

Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="OUT", help="Folder for everything written.", rich_help_panel=OUTPUT
    ),
]
Overlap = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="keep: masks may share pixels where the format allows it. disjoint: each pixel to the "
        "smallest mask. nested: masks lie within or beside each other.",
        rich_help_panel=OUTPUT,
    ),
]
Rings = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="For YOLO, one outline a mask: bridge (join holes and parts by a seam) or largest.",
        rich_help_panel=OUTPUT,
    ),
]
Val = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        help="For YOLO, photos kept for validation, chosen by their names: 0.2 is a fifth.",
        rich_help_panel=OUTPUT,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print a summary as JSON on stdout.", rich_help_panel=OUTPUT)
]
Range = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help="How 16-bit and float photos become 8-bit: percentile, minmax, dtype, or LOW,HIGH.",
        rich_help_panel=INPUT,
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        metavar="B,B,B",
        help="Which bands of a raster, or channels of a hyperstack, make the picture, from 1: 4,3,2.",
        rich_help_panel=INPUT,
    ),
]
Page = Annotated[
    int | None,
    typer.Option(metavar="N", help="Which page of files with several, from 1.", rich_help_panel=INPUT),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are there.", rich_help_panel=OUTPUT)
]


def model_names(incomplete: str) -> list[str]:
    """The models whose names begin so, for a shell that asks."""
    from ...models.catalog import CATALOG

    return [name for name in CATALOG if name.startswith(incomplete)]


def format_names(incomplete: str) -> list[str]:
    """The mask formats whose names begin so, for a shell that asks."""
    return [name for name in FORMATS if name.startswith(incomplete)]


Photos = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Photos, folders, globs; - reads a list from stdin.")
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Look into subfolders too.", rich_help_panel=INPUT)
]
Points = Annotated[
    list[str] | None,
    typer.Option(
        "--point",
        "-p",
        metavar="X,Y[,0|1][@ID]",
        help="A click: 1 on the object (default), 0 not. Clicks correct one another, in their order.",
        rich_help_panel=INPUT,
    ),
]
Boxes = Annotated[
    list[str] | None,
    typer.Option(
        "--box", "-b", metavar="X0,Y0,X1,Y1[@ID]", help="A box around an object.", rich_help_panel=INPUT
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help=f"May be repeated: {', '.join(FORMATS)}. With nothing asked for: coco and --overlay.",
        rich_help_panel=OUTPUT,
        autocompletion=format_names,
    ),
]
Again = Annotated[
    bool,
    typer.Option(
        "--overwrite/--skip-existing",
        help="Do finished photos again; by default they are skipped.",
        rich_help_panel=OUTPUT,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A name of `everymask models list`, or a checkpoint.",
        autocompletion=model_names,
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps; by default the best.", rich_help_panel=MODEL),
]


def reading_of(range: str, page: int | None, bands: str | None) -> dict[str, Any]:
    """How photos are read, from --range, --page and --bands; a wrong value is told before any is read."""
    from ...media.photos import read_photo

    reading: dict[str, Any] = {"range": read_range(range), "page": read_page(page)}
    if bands is not None:
        reading["bands"] = read_bands(bands)
    read_photo(np.zeros((1, 1), np.uint8), range=reading["range"])
    return reading


def read_bands(text: str | None) -> tuple[int, ...] | None:
    """The value of --bands.

    >>> read_bands("4,3,2"), read_bands(None)
    ((4, 3, 2), None)
    """
    if text is None:
        return None
    try:
        return check_bands([int(part) for part in text.split(",")])
    except ValueError:
        raise InputError(
            f"--bands must be one or three numbers from 1, such as 4,3,2, got {text!r}"
        ) from None


def read_page(page: int | None) -> int | None:
    """The value of --page, which counts from 1, as what Python calls it.

    >>> read_page(1), read_page(None)
    (0, None)
    """
    if page is not None and page < 1:
        raise InputError(f"--page counts from 1, got {page}; the first page is --page 1")
    return None if page is None else page - 1


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
