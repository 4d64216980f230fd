"""``everymask track``: objects through a video."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import OptionError
from ..shared.flags import with_flags
from ..shared.look import Style
from ..shared.messages import warn
from ..shared.option_files import OptionsFile, options_of
from ..shared.options import (
    INPUT,
    OUTPUT,
    AsJson,
    Bands,
    Device,
    Model,
    Output,
    Overwrite,
    read_bands,
    read_range,
)
from ..shared.words import Words
from .keep import KeepObjects
from .outputs import FORMAT_NAMES, Wish, chosen_formats
from .prompts import FramePrompt, names_of, read_track_prompts
from .run import Outcome, Request, run

TRACKING = "Tracking"  # a group of the help
DONE, FAILED = 0, 1  # as in cli/main.py


@with_flags(look=Style, keep=KeepObjects, words=Words)
def track(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A video file or a folder of pictures.")],
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--point",
            "-p",
            metavar="FRAME:X,Y[,0|1][@ID]",
            help="A click: 1 on, 0 off the object. Those of one frame correct one another, in their order.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            "-b",
            metavar="FRAME:X0,Y0,X1,Y1[@ID]",
            help="A box around an object.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(
            "--mask",
            metavar="FRAME:FILE[@ID]",
            help="An object's pixels: a picture or mask file.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help='JSON: [{"frame": 1, "object": 1, "points": ...}].',
            rich_help_panel=INPUT,
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything", help="Follow every object of the first frame.", rich_help_panel=TRACKING
        ),
    ] = False,
    look_every: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="With --text or --everything: look again every N frames; 0: never.",
            rich_help_panel=TRACKING,
        ),
    ] = 30,
    most_objects: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="With --text or --everything: at most N objects.",
            rich_help_panel=TRACKING,
        ),
    ] = 16,
    output: Output = Path("out"),
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help=f"Repeatable: {', '.join(FORMAT_NAMES)}.",
            rich_help_panel=OUTPUT,
            autocompletion=lambda incomplete: [name for name in FORMAT_NAMES if name.startswith(incomplete)],
        ),
    ] = None,
    both_ways: Annotated[
        bool,
        typer.Option(
            "--both-ways", help="Also backwards from the first prompt to frame 1.", rich_help_panel=TRACKING
        ),
    ] = False,
    stop: Annotated[
        int | None,
        typer.Option(metavar="FRAME", help="The first frame not tracked.", rich_help_panel=TRACKING),
    ] = None,
    non_overlap: Annotated[
        bool,
        typer.Option(
            "--non-overlap", help="Every pixel belongs to one object at most.", rich_help_panel=TRACKING
        ),
    ] = False,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="bfloat16 in memory attention if faster here: nearly the same masks.",
            rich_help_panel=TRACKING,
        ),
    ] = False,
    save_every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Save the state every N frames.", rich_help_panel=TRACKING)
    ] = 50,
    range: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="How 16-bit frames become 8-bit: dtype, LOW,HIGH, or frame by frame percentile, minmax.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    model: Model = "nano",
    device: Device = None,
    options: OptionsFile = None,
    *,
    look: Style,
    keep: KeepObjects,
    words: Words,
) -> int:
    """Follow objects through a video from points, boxes or masks on any of its frames, or by their names.

    Frames count from 1; coordinates are pixels of the frame. @1, @2, ... after a value says which object
    it is about, @1=dog also what it is called. --text finds what words name on the first frame, every so many
    frames and behind cuts; --everything needs no words. The same command run again goes on where it was
    stopped; with one more click it goes on from that click's frame. With no --format an overlay, a strip of
    frames and an SA-V file are written.
    """
    wanted = chosen_formats(formats)
    by_name = words.is_given
    if by_name and everything:
        raise OptionError("--everything finds every object and --text those of a name; leave one of them out")
    sought = words.sought() if by_name else None
    asked: list[FramePrompt] = []
    if not (everything or by_name) or points or boxes or masks or prompts:
        asked = read_track_prompts(points or [], boxes or [], masks or [], prompts)
    reading: dict[str, Any] = {} if range is None else {"range": read_range(range)}
    if bands is not None:
        reading["bands"] = read_bands(bands)
    generator: dict[str, Any] = {}
    if by_name:
        generator = words.generator(options, model)
    elif everything:
        generator = options_of(options, model)
    elif options is not None:
        raise OptionError("--options is of everything mode: give --everything or --text with it")
    request = Request(
        video=video,
        prompts=asked,
        options={"non_overlap_masks": non_overlap, "fast_attention": fast},
        model=model,
        device=device,
        discovery=(look_every, most_objects) if everything or by_name else None,
        words=sought,
        both_ways=both_ways,
        stop=None if stop is None else stop - 1,
        save_every=save_every,
        overwrite=overwrite,
        reading=reading,
        generator=generator,
    )
    style = replace(look, labels=True) if by_name else look
    outcome = run(request, output, wanted, Wish(keep, style, names_of(asked)))
    return finish(outcome, keep, as_json)


def finish(outcome: Outcome, keep: KeepObjects, as_json: bool) -> int:
    """Say how a run went; the exit status."""
    if as_json:
        typer.echo(json.dumps(_summary(outcome), indent=2))
    for line in outcome.quality:
        typer.echo(str(line), err=True)
    if keep.is_active and not outcome.quality:
        warn("the filters leave no mask; loosen --min-area, --max-area or --min-score")
    for failure in outcome.failures:
        typer.echo(f"error: {failure}", err=True)
    return FAILED if outcome.failures else DONE


def _summary(outcome: Outcome) -> dict[str, Any]:
    objects = [each.to_dict() for each in outcome.quality]
    paths = [str(path) for path in outcome.written]
    frames = len(outcome.clip.frames)
    return {"video": outcome.clip.name, "frames": frames, "objects": objects, "written": paths}
