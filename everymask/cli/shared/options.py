"""The options that several commands share: one name, one explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError
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
    from ...formats import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


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
