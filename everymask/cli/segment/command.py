"""``everymask segment``: every object of photos, folders, globs or a list, as files in any format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import InputError
from ...everything.keep import Keep, nothing_left
from ...everything.objects import Objects
from ...everything.settings import as_read_back, differences
from ..shared.engine import open_segmenter
from ..shared.flags import with_flags
from ..shared.inputs import Photo, find_photos, printable
from ..shared.look import Look
from ..shared.messages import note, warn
from ..shared.options import (
    OUTPUT,
    Again,
    AsJson,
    Bands,
    Device,
    Formats,
    Model,
    Output,
    Overlap,
    Page,
    Photos,
    Range,
    Recursive,
    Rings,
    Val,
    reading_of,
)
from ..shared.outputs import Outputs, choose_outputs
from ..shared.progress import counted, duration, showing_progress
from ..shared.words import Naming, Words, classes_of, every_name, open_finder
from .generator_flags import with_generator_flags
from .journal import Journal
from .quality import quality_lines
from .run import REPORT, Run, Segmenter, Summary
from .scenes import Tiles


@with_flags(look=Look, keep=Keep, objects=Objects, tiles=Tiles, words=Words)
@with_generator_flags
def segment(
    inputs: Photos,
    output: Output = Path("out"),
    formats: Formats = None,
    convert_to_rle: Annotated[
        bool,
        typer.Option("--convert-to-rle", help="amg.py's name for --format amg-rle.", rich_help_panel=OUTPUT),
    ] = False,
    overlap: Overlap = "keep",
    rings: Rings = "bridge",
    val: Val = 0.0,
    as_json: AsJson = False,
    recursive: Recursive = False,
    range: Range = "percentile",
    page: Page = None,
    bands: Bands = None,
    overwrite: Again = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only list what would be done.", rich_help_panel=OUTPUT),
    ] = False,
    name: Annotated[
        bool,
        typer.Option(
            "--name", help="Name the masks that the bundled classifier is sure of.", rich_help_panel="Words"
        ),
    ] = False,
    model: Model = "nano",
    device: Device = None,
    *,
    look: Look,
    keep: Keep,
    objects: Objects,
    tiles: Tiles,
    words: Words,
    options: dict[str, Any],
) -> None:
    """Find every object of photos and write their masks.

    Finished photos are skipped when the same command runs again, so a stopped run goes on where it was.

    Options of the generator have amg.py's names; those not given are the model's own.

    Exit status: 0 all done, 1 some photos failed (named on stderr and in OUT/report.json), 2 wrong use.
    """
    names = [*(formats or []), *["amg-rle"] * convert_to_rle]
    outputs = choose_outputs(output, names, look, keep, overlap, rings, val)
    asked = words.asked
    if asked and (name or objects != Objects()):
        raise InputError(
            "--text says which masks there are and what they are called; "
            "leave out --name, --fill-gaps, --merge and --level"
        )
    reading = reading_of(range, page, bands)

    def opened() -> Segmenter:
        depends_on = {**reading, **tiles.settings}
        if asked:
            return open_finder(model, device, words, options, depends_on)
        everything = open_segmenter(model, device, options, depends_on)
        found = objects.after(everything, lambda text: typer.echo(text, err=True))
        return Naming(found) if name else found

    if asked or name:
        outputs = replace(outputs, categories=classes_of(asked) if asked else every_name())
    over_photos(inputs, outputs, opened, reading, tiles, recursive, overwrite, dry_run, as_json)


def over_photos(
    inputs: list[str],
    outputs: Outputs,
    opened: Callable[[], Segmenter],
    reading: dict[str, Any],
    tiles: Tiles,
    recursive: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Masks of many photos into one folder; ``opened`` loads what makes them, once it is needed."""
    journal = Journal(outputs.folder)
    listed = list(sys.stdin) if "-" in inputs else []

    def find() -> list[Photo]:
        return find_photos(
            inputs, recursive=recursive, listed=listed, skip=outputs.folders(), taken=journal.places_for
        )

    photos = find()
    if "-" in inputs and not any(line.strip() for line in listed):
        raise InputError("- reads paths of photos from stdin, one a line, and there were none; pipe them in")
    if not photos:
        raise InputError(
            f"no pictures in {', '.join(inputs)}" + ("" if recursive else "; --recursive looks deeper")
        )
    if dry_run:
        list_plan(photos, outputs, journal)
        return
    _refuse_to_overwrite(outputs, journal, overwrite)
    segmenter = opened()
    with journal.locked():  # what another run has finished meanwhile is known from here on
        run = Run(segmenter, journal, outputs, reading, tiles)
        summary = do(run, find(), overwrite)
    report(summary, outputs, as_json, getattr(segmenter, "unfound", None))
    raise typer.Exit(1 if summary.failed else 0)


def do(run: Run, photos: list[Photo], overwrite: bool) -> Summary:
    """Run with progress on stderr; Ctrl-C says how to go on."""
    if not overwrite:
        _refuse_other_settings(run, photos)
    kept = 0 if overwrite else sum(run.is_finished(photo) for photo in photos)
    with showing_progress(len(photos), kept) as progress:
        try:
            return run.photos(photos, overwrite, progress)
        except KeyboardInterrupt:
            done = kept + progress.done
            typer.echo(
                f"stopped with {done} of {len(photos)} photos done; the same command goes on", err=True
            )
            raise typer.Exit(130) from None


def _refuse_other_settings(run: Run, photos: list[Photo]) -> None:
    """Masks of two kinds in one folder would be a trap; say what differs."""
    now = as_read_back(run.segmenter.settings)
    for photo in photos:
        before = run.journal.finished(photo)
        told = "" if before is None else differences(before.settings, now)
        if not told:
            continue
        raise InputError(
            f"{run.outputs.folder} holds masks made with other settings ({told}); "
            "pass --overwrite to make them anew, or choose another -o"
        )


def _refuse_to_overwrite(outputs: Outputs, journal: Journal, overwrite: bool) -> None:
    """A file that is not ours, where one of ours would go, is not replaced unasked."""
    if overwrite or len(journal):
        return
    for format_ in outputs.per_run:
        if outputs.run_path(format_).exists():
            raise InputError(
                f"{outputs.run_path(format_)} is there and not from an earlier run; "
                "pass --overwrite to replace it, or choose another -o"
            )


def list_plan(photos: list[Photo], outputs: Outputs, journal: Journal) -> None:
    """What would be done, on stdout: a line a photo, then the files of the whole run."""
    for photo in photos:
        state = "finished" if journal.finished(photo) else "to do"
        typer.echo(f"{state}: {printable(str(photo.path))}")
        for output in outputs.per_photo:
            typer.echo(f"    {outputs.path_of(output, photo.key, (1, 1))}")
    for format_ in outputs.per_run:
        typer.echo(f"all photos: {outputs.run_path(format_)}")


def report(summary: Summary, outputs: Outputs, as_json: bool, unfound: str | None) -> None:
    """The summary: for people on stderr, for programs (``--json``) on stdout.

    ``unfound`` says which words have no mask yet, where words were looked for.
    """
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
    for line in summary_lines(summary):
        typer.echo(line, err=True)
    finished = len(summary.done) + len(summary.kept)
    if unfound:
        warn(f"among the photos done now, {unfound}" if summary.kept else unfound)
    elif finished and not summary.found and unfound is not None:
        warn("no mask answers to the words; try a lower --threshold")
    elif finished and not summary.found:
        warn("no mask passed the filters; try a lower --pred-iou-thresh or --stability-score-thresh")
    elif finished and not summary.masks:
        warn(nothing_left(summary.found, outputs.keep))
    for output, losses in summary.losses().items():
        note(f"{output} cannot hold all: {losses}")
    if summary.failed:
        warn(f"{counted(len(summary.failed), 'photo')} failed; see {outputs.folder / REPORT}")
    for path in summary.written:
        typer.echo(f"wrote {path}", err=True)


def summary_lines(summary: Summary) -> list[str]:
    """What was done, and how good it was."""
    finished = len(summary.done) + len(summary.kept)
    kept = f" ({len(summary.kept)} before)" if summary.kept else ""
    lines = [
        f"{counted(finished, 'photo')}{kept}, {counted(summary.masks, 'mask')}, {duration(summary.seconds)}"
    ]
    return lines + quality_lines(summary.quality)
