"""``everymask compare``: one photo under several options, beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .shared.option_files import OptionsFile, options_of
from .shared.option_lists import with_option_lists
from .shared.options import Bands, Device, Model, Output, Overwrite, Page, Range, reading_of


@with_option_lists()
def compare(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture.")],
    output: Output = Path("out/compare"),
    overwrite: Overwrite = False,
    range: Range = "percentile",
    page: Page = None,
    bands: Bands = None,
    model: Model = "nano",
    device: Device = None,
    options_file: OptionsFile = None,
    *,
    axes: dict[str, Any],
) -> None:
    """Show the masks of a photo under every combination of options.

    Writes a sheet of pictures, a table (CSV) and a page on which all pictures zoom together. Thresholds vary
    without the model; grids and crops ask it once each. What --options says holds for what has no flag.
    """
    from ..explore.compare import compare as compared
    from ..media.photos import read_pixels
    from .shared.downloads import load_visibly

    settings = {**{k: v for k, v in options_of(options_file, model).items() if k not in axes}, **axes}
    if not axes:
        raise InputError("nothing to compare: give an option several values, as --points-per-side 16,32")
    if (output / "sheet.png").exists() and not overwrite:
        raise InputError(f"{output / 'sheet.png'} is there; pass --overwrite, or choose another -o")
    picture = read_pixels(photo, **reading_of(range, page, bands))
    loaded = load_visibly(model, device)

    def tell(done: int, count: int) -> None:
        typer.echo(f"{done} of {count} settings", err=True)

    result = compared(picture.values, loaded, progress=tell, valid=picture.valid, **settings)
    rows = result.table
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    typer.echo("  ".join(name.ljust(widths[name]) for name in widths))
    for row in rows:
        typer.echo("  ".join(str(row[name]).ljust(widths[name]) for name in widths))
    for path in result.save(output):
        typer.echo(f"wrote {path}", err=True)
