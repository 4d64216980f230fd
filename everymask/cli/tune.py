"""``everymask tune``: the options that fit a folder of photos best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .shared.option_lists import with_option_lists
from .shared.options import INPUT, OUTPUT, Device, Model, Overwrite

GOAL, SEARCH = "Goal", "Search"

STRUCTURE = {"points_per_side", "crop_n_layers", "crop_n_points_downscale_factor", "use_m2m"}


@with_option_lists(STRUCTURE, "What the model is asked, values to try separated by commas")
def tune(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of photos.")],
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="REFERENCE",
            help="Reference masks: one file, or a folder with a file a photo.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where the options go.", rich_help_panel=OUTPUT),
    ] = Path("tuned.toml"),
    goal: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --masks: quality (default), overlap, recall or count.",
            rich_help_panel=GOAL,
        ),
    ] = None,
    want: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=WEIGHT",
            help="Without --masks, may be repeated: coverage, single, stability, sizes, count. "
            "Default: coverage=1 and single=1.",
            rich_help_panel=GOAL,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(metavar="LEAST,LARGEST", help="Areas wanted, in pixels.", rich_help_panel=GOAL),
    ] = None,
    count: Annotated[
        str | None,
        typer.Option(metavar="LEAST,LARGEST", help="Numbers of masks wanted.", rich_help_panel=GOAL),
    ] = None,
    trials: Annotated[
        int, typer.Option(metavar="N", help="Thresholds tried for each grid.", rich_help_panel=SEARCH)
    ] = 200,
    seed: Annotated[
        int, typer.Option(metavar="N", help="For the same search again.", rich_help_panel=SEARCH)
    ] = 0,
    overwrite: Overwrite = False,
    model: Model = "nano",
    device: Device = None,
    *,
    axes: dict[str, Any],
) -> None:
    """Find the options that fit photos best, with reference masks or without.

    Half of the photos are searched on, the gain is told on the other half. Writes the options (TOML, for
    --options) and beside them a report. Stopped, the same command goes on: what was found is kept in
    FILE.study.
    """
    from ..explore.report import write_report
    from ..explore.tune import tune as tuned
    from .shared.downloads import load_visibly

    if output.exists() and not overwrite:
        raise InputError(f"{output} is there; pass --overwrite, or choose another -o")
    wish = _wish(want, sizes, count)
    if wish is not None and (masks is not None or goal is not None):
        raise InputError(
            "--want, --sizes, --count are for photos without --masks and --goal; leave out either"
        )

    last = ""

    def tell(what: str, number: int, of: int) -> None:
        nonlocal last
        if what != last or number == of or number % 20 == 0:
            typer.echo(f"{what}: {number} of {of}", err=True)
        last = what

    study = output.with_suffix(".study")
    try:
        result = tuned(
            photos,
            masks,
            load_visibly(model, device),
            goal=goal if wish is None else wish,
            trials=trials,
            study=study,
            seed=seed,
            progress=tell,
            **axes,
        )
    except KeyboardInterrupt:
        typer.echo(f"stopped; what was found is kept in {study}, the same command goes on from it", err=True)
        raise
    for problem in result.problems:
        typer.echo(f"warning: not used: {problem}", err=True)
    where = "photos kept aside" if result.is_held_out else "the same photos, too few to keep any aside"
    typer.echo(f"defaults {result.before:.3f}, tuned {result.after:.3f}, on {len(result.told)} {where}")
    for name, value in result.options.items():
        typer.echo(f"  {name} = {value}")
    if result.after <= result.before:
        typer.echo("note: no better than the model's own defaults there; keep those", err=True)
    typer.echo(f"wrote {result.save(output)}", err=True)
    typer.echo(f"wrote {write_report(result, output.with_suffix('.html'))}", err=True)
    kept = sum(path.stat().st_size for path in study.iterdir()) / 1e6
    typer.echo(
        f"{study} ({kept:.0f} MB) keeps the search: with more --trials and --overwrite it goes on; "
        "delete it when you are done",
        err=True,
    )


def _wish(want: list[str] | None, sizes: str | None, count: str | None) -> Any:
    """What --want, --sizes and --count say together; None where none is given."""
    from ..explore.goals import Wish

    if not want and sizes is None and count is None:
        return None
    weights = dict(_weight(text) for text in want or [])
    if not want:
        weights = {"coverage": 1.0, "single": 1.0}
    bounds = {name: _bounds(name, text) for name, text in (("sizes", sizes), ("count", count)) if text}
    weights |= {name: 1.0 for name in bounds if name not in weights}
    areas, numbers = bounds.get("sizes"), bounds.get("count")
    return Wish(weights, areas, None if numbers is None else (round(numbers[0]), round(numbers[1])))


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value or 1)
    except ValueError as error:
        raise InputError(f"--want takes NAME=WEIGHT, as coverage=1; got {text!r}") from error


def _bounds(name: str, text: str) -> tuple[float, float]:
    try:
        least, largest = (float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--{name} takes LEAST,LARGEST, as 100,5000; got {text!r}") from error
    return least, largest
