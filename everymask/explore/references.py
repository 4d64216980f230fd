"""Photos and the reference masks that belong to them, in any format that is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from everymask.errors import EverymaskError, InputError, first_few
from everymask.formats.beside import Paired, is_annotation, photos_in, photos_with_masks
from everymask.maskset import MaskSet
from everymask.media.photos import photo_size, read_pixels
from everymask.media.rasters import Pixels

NAMED = 3
"""Photos that a message names."""


@dataclass(frozen=True)
class Example:
    """A photo, and the masks of each of its annotators; none where there is nothing to compare with."""

    path: Path
    references: tuple[MaskSet, ...] = ()

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> Pixels:
        """The photo, RGB uint8 [H, W, 3], and where it has data."""
        return read_pixels(self.path)


def find_examples(
    photos: Path | str, masks: Path | str | None, *, all_have_masks: bool = False
) -> tuple[list[Example], list[str]]:
    """The photos of a folder with their reference masks, and a line for each photo that could not be used.

    ``masks`` is one file for all (COCO, ...) or a folder with a file a photo, named alike: ``NAME.json``,
    ``NAME.png``, ``NAME_0.png``, ``NAME_1.png`` (one an annotator). Without ``masks`` every photo is an
    example. Photos that have no masks are left out; with ``all_have_masks`` a line names them, too. Raises
    :class:`InputError` where none is left.
    """
    folder = Path(photos).expanduser()
    if not folder.is_dir():
        raise InputError(f"expected a folder of photos, got {str(folder)!r}; name the folder")
    paths = photos_in(folder)
    stems = {path.stem for path in paths}
    photos_there = [path for path in paths if not is_annotation(path, stems)]
    if not photos_there:
        raise InputError(f"there is no photo in {str(folder)!r}; name a folder of photos")
    if masks is None:
        examples, problems = _checked((path, []) for path in photos_there)
    else:
        where = Path(masks).expanduser()
        if not where.exists():
            raise InputError(f"there is no file or folder {str(where)!r} to read reference masks from")
        found = list(photos_with_masks(folder, where))
        examples, problems = _checked(found)
        if not found:
            only = "has masks for other photos only"
            no = "has no NAME.json, NAME.png or NAME_0.png of their names"
            problems = [f"{str(where)!r} {only if where.is_file() else no}"]
        elif all_have_masks:
            problems += _without_masks(photos_there, [path for path, _ in found])
    if not examples:
        reasons = "; ".join(problems[:NAMED])
        raise InputError(f"no photo of {str(folder)!r} can be used: {reasons}")
    return examples, problems


def _without_masks(photos: Sequence[Path], found: Sequence[Path]) -> list[str]:
    """One line for all photos that no mask file belongs to; a mask beside its photo has its name."""
    stems = {path.stem for path in found}
    names = [path.name for path in photos if path.stem not in stems]
    if not names:
        return []
    return [f"no masks for {first_few(names, NAMED)}"]


def _checked(found: Iterable[Paired]) -> tuple[list[Example], list[str]]:
    examples, problems = [], []
    for path, entries in found:
        try:
            if isinstance(entries, EverymaskError):
                raise entries
            size = photo_size(path)
            for entry in entries:
                if entry.photo_hw != size:
                    raise InputError(
                        f"its masks are for {entry.photo_hw}, the photo is {size} (height, width)"
                    )
            examples.append(Example(path, tuple(entry.masks for entry in entries)))
        except (EverymaskError, OSError) as error:
            problems.append(f"{path.name}: {error}")
    return examples, problems
