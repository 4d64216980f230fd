"""``everymask convert``: mask files from one format to another, filtered and drawn on the way."""

from __future__ import annotations

import glob
import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..errors import EverymaskError, FormatError, InputError
from ..everything.keep import Keep, nothing_left
from ..formats import FORMATS, Losses, PhotoMasks, find_format, read_photos
from ..formats.georeference import Georeference
from ..formats.parquet import holds_photos
from ..formats.record import SIZE_HINT, SizeOf
from ..formats.sniff import FOLDERS, recognise
from ..formats.yolo import NAMES_FILE
from ..media.photos import photo_size
from ..media.picture_files import PICTURE_SUFFIXES
from .convert_clips import clip_files, convert_clips
from .shared.flags import with_flags
from .shared.inputs import Keys
from .shared.look import Look
from .shared.messages import note, warn
from .shared.options import INPUT, OUTPUT, AsJson, Output, Overlap, Overwrite, Rings, Val, format_names
from .shared.outputs import PICTURES, Item, choose_outputs, write_at_once
from .shared.photo_finder import PhotoFinder
from .shared.progress import counted
from .shared.records import Records

NOT_MASKS = {NAMES_FILE, "classes.txt", "report.json"}
MASK_SUFFIXES = {format_.suffix for format_ in FORMATS.values()} | {".tiff"}


@with_flags(look=Look, keep=Keep)
def convert(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Mask files, folders of them, globs, amg folders.")
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help=f"What to write; may be repeated: {', '.join(FORMATS)}.",
            rich_help_panel=OUTPUT,
            autocompletion=format_names,
        ),
    ] = None,
    output: Output = Path("out"),
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            help="The inputs' format, where it cannot be told.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the photos: for overlays and cutouts, sizes (YOLO), places on the map.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Keep masks with this label; may be repeated.", rich_help_panel="Filters"
        ),
    ] = None,
    overlap: Overlap = "keep",
    rings: Rings = "bridge",
    val: Val = 0.0,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    *,
    look: Look,
    keep: Keep,
) -> None:
    """Convert mask files between formats, and say what gets lost on the way.

    Exit status: 0 all done, 1 some files could not be read (named on stderr), 2 wrong use.
    """
    if clips := clip_files(inputs):
        convert_clips(clips, formats or [], output, overwrite, as_json)
        return
    if not formats and not any(getattr(look, name) for name in PICTURES):
        raise InputError("say what to write: --format NAME, --overlay or --cutouts")
    outputs = choose_outputs(output, formats or [], look, keep, overlap, rings, val)
    if source is not None:
        find_format(source)
    finder = PhotoFinder(photos, skip=frozenset({output.absolute()}))
    sources: list[Path | list[PhotoMasks]] = []
    failed: dict[str, str] = {}
    without = 0
    for path, stem in find_mask_files(inputs, any_suffix=source is not None):
        try:
            rows = holds_photos(path) if path.suffix == ".parquet" and source in (None, "parquet") else None
            without += rows[1] if rows else 0
            sources.append(path if rows else read_file(path, stem, source, finder))
        except EverymaskError as error:
            failed[str(path)] = " ".join(str(error).split())
            typer.echo(f"failed: {path}: {failed[str(path)]}", err=True)
    every = Records(tuple(sources), finder.named)
    found = look_through(every, finder if look.draws else None)
    _refuse_unknown_labels(found, label)
    records = every.with_change(lambda record: with_labels(record, label)).with_change(
        lambda record: replace(record, masks=keep.apply(record.masks))
    )
    items = Items(records, finder)
    losses, written = write_at_once(outputs, items, overwrite) if found.photos else ({}, [])
    read, unread = found.masks, found.unread
    masks = sum(len(record.masks) for record in records) if label or keep.is_active else read
    if as_json:
        told = {name: [item.to_dict() for item in lost.items] for name, lost in losses.items()}
        facts = {"photos": found.photos, "masks": masks, "failed": failed, "losses": told}
        facts["unread"] = [item.to_dict() for item in unread.items]
        typer.echo(json.dumps({**facts, "written": [str(path) for path in written]}, indent=2))
    typer.echo(f"{counted(found.photos, 'photo')}, {counted(masks, 'mask')}", err=True)
    if without:
        note(f"{counted(without, 'photo')} of the batch failed and left out; their rows say why")
    if read and not masks:
        warn(nothing_left(read, keep, label or ()))
    if unread:
        typer.echo(f"not everything was read: {unread}", err=True)
    for name, lost in losses.items():
        note(f"{name} cannot hold all: {lost}")
    for path in written[:5]:
        typer.echo(f"wrote {path}", err=True)
    if len(written) > 5:
        typer.echo(f"wrote {len(written) - 5} more in {output}", err=True)
    raise typer.Exit(1 if failed else 0)


@dataclass
class Found:
    """What mask files hold."""

    photos: int = 0
    masks: int = 0
    labels: set[str] = field(default_factory=set)
    unread: Losses = field(default_factory=Losses)


def look_through(records: Records, finder: PhotoFinder | None) -> Found:
    """Count once through all photos. With a ``finder`` each has to be there to be drawn."""
    found = Found()
    for record in records:
        if finder is not None:
            finder.check(record)
        found.photos += 1
        found.masks += len(record.masks)
        found.labels.update(mask.label for mask in record.masks if mask.label is not None)
        if record.unread:
            found.unread += record.unread
    return found


def _refuse_unknown_labels(found: Found, labels: list[str] | None) -> None:
    """Raise :class:`InputError` for a label that no mask has; say which there are."""
    unknown = [label for label in labels or [] if label not in found.labels]
    if unknown and found.photos:
        there = ", ".join(sorted(found.labels)) if found.labels else "none: these masks carry no labels"
        raise InputError(f"no mask has the label {unknown[0]!r}; the labels are {there}")


@dataclass(frozen=True)
class Items:
    """Records on their way out, each with a place of its own, the same each time."""

    records: Records
    finder: PhotoFinder

    def __iter__(self) -> Iterator[Item]:
        keys = Keys([])
        for record in self.records:
            yield Item(keys.new(record.photo or "photo"), record, partial(self.finder.pixels, record))


def with_labels(record: PhotoMasks, labels: list[str] | None) -> PhotoMasks:
    """The record with those of its masks that have one of the labels; all of them where none is named."""
    if not labels:
        return record
    return replace(record, masks=record.masks.filter(lambda mask: mask.label in labels))


def find_mask_files(words: Sequence[str], any_suffix: bool = False) -> Iterator[tuple[Path, str]]:
    """The mask files and amg folders meant by ``words``, each once, with its relative path without suffix.

    ``any_suffix`` takes every file of a folder, for formats that are named and not told by the ending.
    """
    seen: set[Path] = set()
    for word in words:
        matches = [word] if Path(word).exists() else sorted(glob.glob(word, recursive=True))
        if not matches:
            raise InputError(f"{word!r} is neither a file nor a folder of masks")
        for path in map(Path, matches):
            inside = _in_folder(path, path, any_suffix) if path.is_dir() else [(path, path.stem)]
            for file, stem in inside:
                if file.absolute() not in seen:
                    seen.add(file.absolute())
                    yield file, stem


def _in_folder(folder: Path, root: Path, any_suffix: bool) -> Iterator[tuple[Path, str]]:
    if any((folder / telling).exists() for telling in FOLDERS.values()):
        yield folder, folder.relative_to(root).as_posix() if folder != root else folder.name
        return
    if (folder / "manifest.json").is_file() and (folder / "parts").is_dir():  # of everymask batch
        yield from ((path, path.stem) for path in sorted((folder / "parts").glob("*.parquet")))
        return
    batches = sorted(path.parent for path in folder.glob("batch-*/manifest.json"))
    if len(batches) > 1:
        named = ", ".join(path.name for path in batches)
        raise InputError(f"{folder} holds batches of several settings; name one of {named}")
    pictures = {"images"} if (folder / "labels").is_dir() else set()  # YOLO's photos beside their labels
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in NOT_MASKS | pictures:
            continue
        if path.is_dir():
            yield from _in_folder(path, root, any_suffix)
        elif any_suffix or path.suffix.lower() in MASK_SUFFIXES:
            yield path, path.relative_to(root).with_suffix("").as_posix()


def read_file(path: Path, stem: str, source: str | None, finder: PhotoFinder) -> list[PhotoMasks]:
    """The photos of one mask file, named after their photos where those can be found."""
    format_ = find_format(source) if source else recognise(path)
    if format_.per == "run":
        return _read(path, format_.name, finder, finder.size)

    def beside(name: str) -> str:
        """A photo as the file calls it, seen from the file's own folder."""
        return posixpath.join(posixpath.dirname(stem), name.replace("\\", "/"))

    def size_of(name: str) -> tuple[int, int] | None:
        return finder.size(beside(name)) or finder.size(stem) or size_beside(path)

    place = finder.place(stem) if format_.name == "geojson" else None
    (record,) = _read(path, format_.name, finder, size_of, place)
    if Path(record.photo).suffix.lower() not in PICTURE_SUFFIXES:
        return [replace(record, photo=stem)]  # the format does not say the photo's name
    if finder.find(beside(record.photo), record.photo_hw):
        record = replace(record, photo=beside(record.photo))
    return [record]


def _read(
    path: Path, format_: str, finder: PhotoFinder, size_of: SizeOf, place: Georeference | None = None
) -> list[PhotoMasks]:
    try:
        return read_photos(path, format_, photo_hw=size_of, georeference=place)
    except FormatError as error:
        if finder.folder is None or SIZE_HINT not in str(error):
            raise
        told = f"no photo of its name is in {finder.folder}, which --photos names"
        raise FormatError(str(error).replace(f"give {SIZE_HINT}", told)) from error


def size_beside(path: Path) -> tuple[int, int] | None:
    """The size of the photo that belongs to a label file of YOLO: ``images/a.jpg`` for ``labels/a.txt``."""
    parts = list(path.absolute().parts)
    if path.suffix.lower() != ".txt" or "labels" not in parts:
        return None
    parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    plain = Path(*parts).with_suffix("")
    photos = [
        each
        for suffix in sorted(PICTURE_SUFFIXES)
        if (each := plain.with_name(plain.name + suffix)).is_file()
    ]
    return photo_size(photos[0]) if photos else None
