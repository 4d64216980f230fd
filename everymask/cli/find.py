"""``everymask find``: what words name, in photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import PromptError
from ..everything.protocol import Segmenter
from .segment.command import over_photos
from .segment.scenes import Tiles
from .shared.flags import with_flags
from .shared.keep import Keep
from .shared.look import Look
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
    *,
    look: Look,
    keep: Keep,
    words: Words,
) -> None:
    """Find what words name in photos, and write masks with these words as labels.

    Without any download the detector is `lite`: it knows ImageNet's classes and what they are kinds of, such
    as dog, vehicle or fruit, and says so of a word that it cannot know.
    """
    asked = words.asked
    if not asked:
        raise PromptError('nothing to look for; give --text "dog . leash" or --vocabulary FILE')
    chosen = choose_outputs(output, formats or [], replace(look, labels=True), keep, overlap, rings)
    outputs = replace(chosen, categories=classes_of(asked))
    reading = reading_of(range, page, bands)

    def opened() -> Segmenter:
        return open_finder(model, device, words, {}, reading)

    over_photos(inputs, outputs, opened, reading, Tiles(), recursive, overwrite, False, as_json)
