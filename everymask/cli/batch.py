"""``everymask batch``: more photos than a machine holds, on Ray Data, as Parquet parts."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..batching.task import Task
from ..errors import InputError, require
from ..everything.keep import Keep
from ..everything.objects import Objects
from .evaluate import say_scores
from .segment.generator_flags import with_generator_flags
from .shared.flags import with_flags
from .shared.messages import note, warn
from .shared.options import (
    INPUT,
    OUTPUT,
    AsJson,
    Bands,
    Model,
    Page,
    Range,
    Recursive,
    read_bands,
    read_range,
)
from .shared.progress import Progress, counted, duration, showing_progress
from .shared.words import Words

if TYPE_CHECKING:
    from ..batching.estimate import Estimate
    from ..batching.run import Summary

CLUSTER = "Cluster"


@with_flags(task=Task, keep=Keep, objects=Objects, words=Words)
@with_generator_flags
def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Folders, globs, photos, .tar and .parquet shards, .txt lists, s3://, hf://; - for stdin.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Folder for everything written, here or s3:// and the like.",
            rich_help_panel=OUTPUT,
        ),
    ],
    recursive: Recursive = False,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of Parquet: the column with pictures or addresses.", rich_help_panel=INPUT
        ),
    ] = None,
    side_files: Annotated[
        bool,
        typer.Option(
            "--side-files/--no-side-files",
            help="List folders in object storage for files beside photos that are named one by one.",
            rich_help_panel=INPUT,
        ),
    ] = True,
    range: Range = "percentile",
    page: Page = None,
    bands: Bands = None,
    photos_per_part: Annotated[
        int, typer.Option(metavar="N", help="Photos in one Parquet file, at most.", rich_help_panel=OUTPUT)
    ] = 64,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Do photos again that failed before.", rich_help_panel=OUTPUT),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Do ten photos, write nothing, say what all would take.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    price: Annotated[
        float | None,
        typer.Option(
            metavar="MONEY", help="With --dry-run: of the whole cluster, an hour.", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: AsJson = False,
    model: Model = "nano",
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A cluster that runs: auto, or HOST:PORT of its head. By default one is started here.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(metavar="N", help="Models at work; by default as many as fit.", rich_help_panel=CLUSTER),
    ] = None,
    cpus_per_actor: Annotated[
        float | None, typer.Option(metavar="N", help="Cores of each model.", rich_help_panel=CLUSTER)
    ] = None,
    gpus_per_actor: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="GPUs of each model; 0.5: two share one; 0: none.", rich_help_panel=CLUSTER
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", help="Serve Prometheus counters while it runs.", rich_help_panel=CLUSTER
        ),
    ] = None,
    dashboard: Annotated[
        bool,
        typer.Option(
            "--dashboard", help="Show Ray's dashboard (pip install 'ray[default]').", rich_help_panel=CLUSTER
        ),
    ] = False,
    *,
    task: Task,
    keep: Keep,
    objects: Objects,
    words: Words,
    options: dict[str, Any],
) -> None:
    """Find every object of any number of photos, or what words name, on this machine or a Ray cluster.

    OUT gets a folder for the model and options, with a Parquet row a photo in its parts; a photo that failed
    three times is a row that says why. The masks are those of everymask segment and find. With --work track
    the files are video clips, a row each, with the masks of everymask track; with --work evaluate a model is
    measured on photos with known masks. The same command again does what is missing; other options start a
    new folder. everymask convert makes other formats of the parts.

    Exit status: 0 all done, 1 some photos failed, 2 wrong use.
    """
    require("ray", "batch", "everymask batch")
    from ..batching.listing import Search
    from ..batching.run import Job, reading_of, sought_of
    from ..batching.run import batch as run_batch

    listed = list(sys.stdin) if "-" in inputs else []
    if "-" in inputs and not any(line.strip() for line in listed):
        raise InputError("- reads paths of photos from stdin, one a line, and there were none; pipe them in")
    reading: dict[str, Any] = {
        "range": read_range(range),
        "page": page,
        "bands": None if bands is None else read_bands(bands),
    }
    sought: dict[str, Any] = {
        "text": words.asked,
        "detector": words.detector,
        "threshold": words.threshold,
        "at_most": words.at_most,
    }
    if dry_run:
        looked_for = sought_of(**sought, objects=objects)
        search = Search(recursive, column, side_files=side_files)
        how = reading_of(**reading)
        job = Job.prepare(inputs, output, model, how, objects, options, search, looked_for, keep, task)
        told = job.estimate(ray, actors, cpus_per_actor, gpus_per_actor, listed, price)
        _say(estimate_lines(told, task.noun), told.to_dict(), as_json)
        return
    with Shown(task.noun) as shown:
        try:
            summary = run_batch(
                inputs,
                output,
                model,
                ray=ray,
                actors=actors,
                cpus_per_actor=cpus_per_actor,
                gpus_per_actor=gpus_per_actor,
                recursive=recursive,
                column=column,
                side_files=side_files,
                objects=objects,
                keep=keep,
                photos_per_part=photos_per_part,
                retry_failed=retry_failed,
                metrics_port=metrics_port,
                dashboard=dashboard,
                listed=listed,
                watch=shown,
                **reading,
                **vars(task),
                **sought,
                **options,
            )
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on with what has not landed", err=True)
            raise typer.Exit(130) from None
    for text in summary.notes:
        note(text)
    _say(summary_lines(summary, task.noun), summary.to_dict(), as_json)
    if keep.is_active and summary.done > summary.failures and not summary.masks:
        warn(f"no mask is left by {keep}; loosen it")
    if summary.scores is not None and not as_json:
        say_scores(summary.scores)
    if summary.failures:
        warn(
            f"{counted(summary.failures, task.noun)} failed; their rows and {summary.manifest}/report.json "
            "say why, --retry-failed does them again"
        )
    typer.echo(f"wrote {summary.parts_folder}", err=True)
    raise typer.Exit(1 if summary.failures else 0)


def _say(lines: list[str], facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    for line in lines:
        typer.echo(line, err=True)


def summary_lines(summary: Summary, noun: str = "photo") -> list[str]:
    """What was done, how fast each worker was, and which photos were slow."""
    kept = f" ({summary.kept:,} before)" if summary.kept else ""
    lines = [
        f"{counted(summary.kept + summary.done, noun)}{kept}, {counted(summary.masks, 'mask')} now, "
        f"{duration(summary.seconds)}"
    ]
    speeds = sorted(photos / max(seconds, 1e-9) for photos, seconds in summary.by_worker.values())
    if speeds:
        lines.append(
            f"{counted(len(speeds), 'worker')}, {speeds[0]:.2f} to {speeds[-1]:.2f} {noun}s a second each"
        )
    if summary.slowest:
        told = ", ".join(f"{name} {duration(seconds)}" for name, seconds in summary.slowest[:3])
        lines.append(f"slowest: {told}")
    return lines


def estimate_lines(told: Estimate, noun: str = "photo") -> list[str]:
    """What a run would take."""
    measured = told.measured
    done = f", {told.done:,} of them done" if told.done else ""
    size = f", {told.bytes / 1e9:.3g} GB" if told.bytes else ""
    lines = [
        f"{counted(told.photos, noun)}{size}{done}",
        f"measured on {measured.photos}: {measured.work_seconds:.3g} s a {noun} and model, "
        f"{measured.read_seconds:.3g} s to read, {measured.masks:.0f} masks",
        f"{counted(told.actors, 'actor')}: about {duration(told.hours * 3600)}, "
        f"{told.output_bytes / 1e9:.3g} GB of rows",
    ]
    if told.cost is not None:
        lines.append(f"about {told.cost:,.2f} at {told.price:g} an hour")
    return lines + [f"failed: {name}: {reason}" for name, reason in measured.failed]


class Shown:
    """Progress on stderr: what is listed, planned, landed."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._progress: Progress | None = None
        self._showing: Any = None

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._showing is not None:
            self._showing.__exit__(None, None, None)

    def listed(self, photos: int) -> None:
        """So many photos have been listed."""
        if photos >= 100_000:
            typer.echo(f"listed {counted(photos, self._noun)}", err=True)

    def planned(self, plan: Any, manifest: Any) -> None:
        """The plan is made."""
        if plan.changed:
            note(f"{counted(plan.changed, self._noun)} changed since they were planned and are done anew")
        if plan.done:
            note(f"{plan.done:,} of {counted(plan.photos, self._noun)} are done in {manifest.place}")
        self._showing = showing_progress(plan.photos, plan.done)
        self._progress = self._showing.__enter__()

    def made(self, part: Any) -> None:
        """A part has landed."""
        if self._progress is not None:
            self._progress.part_done(f"part {part.unit}", part.photos, part.masks, part.seconds, part.failed)

    def broken_off(self, why: str) -> None:
        """Ray could not go on; said before this process may end with it."""
        note(f"{why}; what has landed stays, and the same command goes on from there")

    def dashboard(self, address: str) -> None:
        """Ray's dashboard is to be seen at this address."""
        note(f"Ray's dashboard: {address}")
