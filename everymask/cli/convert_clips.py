"""``everymask convert`` of clips: the parts of `everymask batch --work track` to the formats of `track`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import typer

from ..errors import FormatError, InputError
from ..formats.clip_rows import clips_of, holds_clips
from ..formats.video_record import ClipMasks
from ..formats.video_table import VIDEO_FORMATS
from .track.outputs import path_of, write_masks


def clip_files(inputs: list[str]) -> list[Path]:
    """The Parquet files among the inputs, or in folders of batches, that have a row a clip; none where the
    inputs are something else."""
    found: list[Path] = []
    for text in inputs:
        path = Path(text)
        parts = sorted(path.rglob("*.parquet")) if path.is_dir() else [path] * (path.suffix == ".parquet")
        parts = [part for part in parts if part.parent.name not in ("plan", "kept")]
        if not parts or not holds_clips(parts[0]):
            return []
        found += parts
    return found


def convert_clips(
    files: list[Path], formats: list[str], output: Path, overwrite: bool, as_json: bool
) -> None:
    """Write every clip of the files in each format, one clip in memory at a time.

    Exit status 1 where one could not be written. Raises :class:`FormatError` for a format that clips do not
    have, and :class:`InputError` for a file that is there already.
    """
    unknown = [name for name in formats if name not in VIDEO_FORMATS]
    if unknown or not formats:
        given = f", got {unknown[0]!r}" if unknown else ""
        raise FormatError(f"clips can be written as --format {', '.join(VIDEO_FORMATS)}{given}")
    named: set[str] = set()
    written: list[Path] = []
    failures: list[str] = []
    for file in files:
        for clip in clips_of(file):
            own = output / Path(clip.name).parent
            stem = Path(clip.name).stem if _stem(clip) not in named else Path(clip.name).name
            named.add(_stem(clip))
            there = [path for name in formats if (path := path_of(own, stem, name)).exists()]
            if there and not overwrite:
                raise InputError(f"{there[0]} is there already; pass --overwrite, or choose another -o")
            own.mkdir(parents=True, exist_ok=True)
            paths, failed = write_masks(formats, own, output / ".scratch", replace(clip, name=stem))
            written += paths
            failures += failed
    if as_json:
        typer.echo(json.dumps({"clips": len(named), "written": [str(path) for path in written]}, indent=2))
    for failure in failures:
        typer.echo(f"failed: {failure}", err=True)
    raise typer.Exit(1 if failures else 0)


def _stem(clip: ClipMasks) -> str:
    """Its name without suffix: of two clips of one stem the second keeps its suffix."""
    return str(Path(clip.name).with_suffix(""))
