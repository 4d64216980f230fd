"""``everymask find``: what words name, in photos and videos."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PromptError
from ..everything.keep import Keep
from ..everything.protocol import Segmenter
from ..media.videos import VIDEO_SUFFIXES
from .predict.prompts import read_numbers
from .segment.command import over_photos
from .segment.scenes import Tiles
from .shared.flags import with_flags
from .shared.look import Look, Style
from .shared.option_files import OptionsFile
from .shared.options import (
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
    reading_of,
)
from .shared.outputs import choose_outputs
from .shared.words import Words, classes_of, open_finder

if TYPE_CHECKING:
    from ..words.detect.protocol import Exemplars


@with_flags(look=Look, keep=Keep, words=Words)
def find(
    inputs: Photos,
    output: Output = Path("out"),
    formats: Formats = None,
    overlap: Overlap = "keep",
    rings: Rings = "bridge",
    as_json: AsJson = False,
    recursive: Recursive = False,
    range: Range = "percentile",
    page: Page = None,
    bands: Bands = None,
    overwrite: Again = False,
    model: Model = "nano",
    device: Device = None,
    options: OptionsFile = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1",
            help="A box in the photo: find more of what it shows (SAM 3 alone). May be repeated.",
            rich_help_panel=Words.PANEL,
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1", help="A box around what is not meant.", rich_help_panel=Words.PANEL
        ),
    ] = None,
    *,
    look: Look,
    keep: Keep,
    words: Words,
) -> int | None:
    """Find what words name in photos or a video, and write masks with these words as labels.

    Without any download the detector is `lite`: it knows ImageNet's classes and what they are kinds of, such
    as dog, vehicle or fruit, and says so of a word that it cannot know. Of a video what is found is followed,
    and written as `track` does it, which has more options for it.
    """
    exemplars = exemplars_of(inputs, like or [], unlike or [])
    asked = words.asked
    if not asked and exemplars is None:
        raise PromptError('nothing to look for; give --text "dog . leash" or --vocabulary FILE')
    videos = [each for each in inputs if Path(each).suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        generator = words.generator(options, model)
        return in_video(
            inputs, videos, output, formats, (model, device), words, generator, look, overwrite, as_json
        )
    chosen = choose_outputs(output, formats or [], replace(look, labels=True), keep, overlap, rings)
    outputs = replace(chosen, categories=classes_of(asked)) if asked else chosen
    reading = reading_of(range, page, bands)

    generator = words.generator(options, model)

    def opened() -> Segmenter:
        return open_finder(model, device, words, generator, reading, exemplars)

    over_photos(inputs, outputs, opened, reading, Tiles(), recursive, overwrite, False, as_json)
    return None


def exemplars_of(inputs: list[str], like: list[str], unlike: list[str]) -> Exemplars | None:
    """The boxes of --like and --unlike, which are those of one photo; None where there are none."""
    if not like and not unlike:
        return None
    if len(inputs) != 1 or not Path(inputs[0]).is_file() or Path(inputs[0]).suffix.lower() in VIDEO_SUFFIXES:
        raise PromptError(
            f"--like and --unlike are boxes in one photo; give one photo, got {', '.join(inputs)}"
        )
    from ..words.find import read_exemplars

    return read_exemplars(
        [read_numbers(text, "--like", (4,)) for text in like],
        [read_numbers(text, "--unlike", (4,)) for text in unlike],
    )


def in_video(
    inputs: list[str],
    videos: list[str],
    output: Path,
    formats: list[str] | None,
    model: tuple[str, str | None],
    words: Words,
    generator: dict[str, Any],
    look: Look,
    overwrite: bool,
    as_json: bool,
) -> int:
    """What words name in a video, as ``everymask track --text`` does it by default."""
    from .track.command import finish
    from .track.keep import KeepObjects
    from .track.outputs import Wish, chosen_formats
    from .track.run import Request, run

    if len(inputs) > 1:
        raise PromptError(
            f"{videos[0]} is a video: give it alone, or photos; everymask track --text has more options"
        )
    wanted = chosen_formats(formats)
    request = Request.by_words(videos[0], words.sought(), *model, overwrite=overwrite, generator=generator)
    style = Style(**{each.name: getattr(look, each.name) for each in fields(Style)})
    outcome = run(request, output, wanted, Wish(KeepObjects(), replace(style, labels=True), {}))
    return finish(outcome, KeepObjects(), as_json)
