"""What is done with each file of a run: photos are segmented here; other kinds have files of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..everything.open_ends import asking
from ..everything.scene import scene_masks
from ..everything.tiles import Tiling
from ..formats.georeference import Georeference, read_georeference
from ..formats.photo_rows import PhotoRow, schema, to_table
from ..formats.record import PhotoMasks
from ..media.photos import read_pixels
from ..media.picture_files import PICTURE_SUFFIXES
from ..media.rasters import Pixels
from ..media.scenes import Scene, is_large, open_scene
from ..models.base import PromptableModel
from .listing import Entry
from .storage import Place


class Maker(Protocol):
    """A loaded model with what it needs for one kind of work."""

    model_hash: str
    settings: dict[str, Any]
    """What the rows depend on."""


class Opening(Protocol):
    """What a :class:`Maker` is made with besides a model: a :class:`~everymask.batching.recipe.Recipe`."""

    @property
    def model_hash(self) -> str:
        """Of the weights."""

    @property
    def reading(self) -> Mapping[str, Any]:
        """How photos are read."""

    def segmenter(self, model: PromptableModel) -> Any:
        """What finds the masks of photos."""


class Work(Protocol):
    """One kind of work, to be pickled; files go in, rows come out."""

    called: ClassVar[str]
    """Its files, in messages."""
    suffixes: ClassVar[frozenset[str]]
    """Of files that are looked for in folders and shards."""
    keeps_file: ClassVar[bool]
    """Whether the file itself is read while its row is made, not only before."""

    def settled(self, entry: Entry) -> Entry | None:
        """The entry with all in its stamp that its row depends on and no other's; None: there is nothing to
        be done with it."""

    def opened(self, model: PromptableModel, recipe: Opening) -> Any:
        """The :class:`Maker` with a model of its own."""

    def read(self, path: Path, reading: Mapping[str, Any]) -> Any:
        """What can be read beside the model. Raises as its readers do."""

    def answer(self, maker: Any, entry: Entry, read: Any, params_hash: str) -> Any:
        """What a row holds of a file."""

    def count(self, answer: Any) -> int:
        """Its masks."""

    def schema(self) -> Any:
        """The columns of a part."""

    def table(self, rows: Sequence[PhotoRow]) -> Any:
        """Rows as a ``pyarrow.Table`` of these columns."""

    def concluded(self, parts: Sequence[Place]) -> dict[str, Any] | None:
        """What all parts say together, if it is more than their sum."""


@dataclass(frozen=True)
class Photos:
    """Photos are segmented."""

    called: ClassVar[str] = "pictures"
    suffixes: ClassVar[frozenset[str]] = frozenset(PICTURE_SUFFIXES)
    keeps_file: ClassVar[bool] = True  # scenes are read tile by tile

    def settled(self, entry: Entry) -> Entry | None:
        """See :class:`Work`."""
        return entry

    def opened(self, model: PromptableModel, recipe: Opening) -> Any:
        """See :class:`Work`."""
        return recipe.segmenter(model)

    def read(
        self, path: Path, reading: Mapping[str, Any]
    ) -> tuple[Pixels | Callable[[], Scene], Georeference | None]:
        """See :class:`Work`. Of rasters that are worked on in tiles, what opens them."""
        place = read_georeference(path)
        return (
            partial(open_scene, path, **reading) if is_large(path) else read_pixels(path, **reading)
        ), place

    def answer(
        self,
        maker: Any,
        entry: Entry,
        read: tuple[Pixels | Callable[[], Scene], Georeference | None],
        params_hash: str,
    ) -> PhotoMasks:
        """See :class:`Work`."""
        photo, place = read
        if isinstance(photo, Pixels):
            masks = maker(photo.values, _ignore, photo.valid)
        else:
            masks = scene_masks(
                photo(),
                lambda values, valid: maker(values, _ignore, valid),
                Tiling(),
                ask=asking(maker.model),
            )
        return PhotoMasks(entry.name, masks, place, maker.model_hash, params_hash)

    def count(self, answer: PhotoMasks) -> int:
        """See :class:`Work`."""
        return len(answer.masks)

    def schema(self) -> Any:
        """See :class:`Work`."""
        return schema()

    def table(self, rows: Sequence[PhotoRow]) -> Any:
        """See :class:`Work`."""
        return to_table(rows)

    def concluded(self, parts: Sequence[Place]) -> dict[str, Any] | None:
        """See :class:`Work`."""
        return None


def _ignore(done: int, total: int) -> None:
    pass
