"""Photos and the reference masks that belong to them, in any format that is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from everymask.errors import EverymaskError, InputError
from everymask.formats.beside import Paired, photos_in, photos_with_masks
from everymask.maskset import MaskSet
from everymask.media.photos import photo_size, read_pixels
from everymask.media.rasters import Pixels


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


def find_examples(photos: Path | str, masks: Path | str | None) -> tuple[list[Example], list[str]]:
    """The photos of a folder with their reference masks, and a line for each photo that could not be used.

    ``masks`` is one file for all (COCO, ...) or a folder with a file a photo, named alike: ``NAME.json``,
    ``NAME.png``, ``NAME_0.png``, ``NAME_1.png`` (one an annotator). Without ``masks`` every photo is an
    example. Raises :class:`InputError` where none is left.
    """
    folder = Path(photos).expanduser()
    if not folder.is_dir():
        raise InputError(f"expected a folder of photos, got {str(folder)!r}; name the folder")
    problems: list[str] = []
    if masks is None:
        examples = [Example(path) for path in photos_in(folder)]
    else:
        where = Path(masks).expanduser()
        if not where.exists():
            raise InputError(f"there is no file or folder {str(where)!r} to read reference masks from")
        examples, problems = _checked(photos_with_masks(folder, where))
    if not examples:
        reasons = "; ".join(problems[:3]) or "none has a NAME.json, NAME.png or NAME_0.png of its name"
        raise InputError(f"no photo of {str(folder)!r} has masks that can be used: {reasons}")
    return examples, problems


def _checked(found: Iterator[Paired]) -> tuple[list[Example], list[str]]:
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
