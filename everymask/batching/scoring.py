"""Photos with known masks, measured: what ``everymask evaluate`` scores, a row a photo, summed at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from ..errors import InputError, OptionError, require
from ..evaluate.clicked import click_scores, measure_clicks
from ..evaluate.data import Annotated
from ..evaluate.everything import EverythingMeasures, everything_scores, measure_everything
from ..evaluate.prompted import PromptedMeasures, measure_prompts, prompted_scores
from ..everything.generate import AutomaticMaskGenerator
from ..everything.segmenter import EverythingSegmenter
from ..everything.settings import short_hash
from ..formats import read_photos
from ..formats.beside import is_annotation, masks_named_after
from ..formats.photo_rows import PhotoRow
from ..formats.record import PhotoMasks
from ..image.predictor import ImagePredictor
from ..media.photos import read_pixels
from ..media.picture_files import PICTURE_SUFFIXES
from ..media.rasters import Pixels
from ..models.base import PromptableModel
from .listing import Entry
from .storage import Place
from .work import Opening


@dataclass(frozen=True)
class Evaluation:
    """A model is measured on photos with masks, in folders that all nodes see."""

    called: ClassVar[str] = "pictures with masks"
    suffixes: ClassVar[frozenset[str]] = frozenset(PICTURE_SUFFIXES)
    keeps_file: ClassVar[bool] = False

    masks: str | None = None
    """One mask file for all photos, or a folder with files named after them; None: beside them."""
    clicks: int = 0
    """Also so many clicks that correct one another."""
    everything: bool = True
    """Also everything mode."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of everything mode."""

    def __post_init__(self) -> None:
        if not 0 <= self.clicks <= 20:
            raise OptionError(f"clicks must be from 0 to 20, got {self.clicks}")
        if self.masks is not None and not Path(self.masks).exists():
            raise InputError(f"there is no file or folder {self.masks!r} to read masks from")

    def settled(self, entry: Entry) -> Entry | None:
        """With its masks in its stamp; None for a photo that has none."""
        if not Place(entry.source).is_local or entry.at:
            raise InputError(
                f"{entry.source}: masks are looked for beside photos in folders of this machine; name such "
                "a folder"
            )
        if self.masks is not None and Path(self.masks).is_file():
            known = _of_one_file(self.masks, _stamp(Path(self.masks)))
            files = [Path(self.masks)] if entry.name in known else []
        else:
            files = self._files(Path(entry.source))
        if not files:
            return None
        stamps = {file.name: _stamp(file) for file in files}
        return replace(entry, stamp=f"{entry.stamp}-{short_hash(stamps)}")

    def references(self, entry: Entry) -> list[PhotoMasks]:
        """The masks of each annotator of a photo."""
        if self.masks is not None and Path(self.masks).is_file():
            return _of_one_file(self.masks, _stamp(Path(self.masks)))[entry.name]
        return [each for file in self._files(Path(entry.source)) for each in read_photos(file)]

    def _files(self, photo: Path) -> list[Path]:
        stems = _stems(photo.parent, _stamp(photo.parent))
        if is_annotation(photo, stems):
            return []
        folder = photo.parent if self.masks is None else Path(self.masks)
        named = _of_folder(folder, _stamp(folder))
        return [file for file in named.get(photo.stem, ()) if file != photo]

    def opened(self, model: PromptableModel, recipe: Opening) -> Measurer:
        """What measures a model."""
        return Measurer(model, recipe.model_hash, self)

    def read(self, path: Path, reading: Mapping[str, Any]) -> Pixels:
        """The photo."""
        return read_pixels(path)

    def answer(self, maker: Measurer, entry: Entry, read: Pixels, params_hash: str) -> dict[str, Any]:
        """What the photo's scores are made of. Raises ``InputError`` for masks of another size."""
        masks = self.references(entry)
        size = read.values.shape[:2]
        for each in masks:
            if each.photo_hw != size:
                raise InputError(f"its masks are for {each.photo_hw}, the photo is {size} (height, width)")
        return maker(Annotated(entry.name, read.values, tuple(each.masks for each in masks)))

    def count(self, answer: dict[str, Any]) -> int:
        """The regions that were asked for."""
        return len(answer["prompts"]["best"])

    def schema(self) -> Any:
        """A row a photo: means of its own, and all that the scores of many photos need, as JSON."""
        pyarrow = require("pyarrow", "parquet", "Parquet")
        text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int32()
        columns = {"ticket": pyarrow.binary(16), "photo": text, "source": text, "key": text, "regions": whole}
        means = dict.fromkeys(("click_best", "click_top", "box_iou", "abo"), number)
        after = {"measures": text, "error": text, "tries": pyarrow.int16(), "seconds": number, "worker": text}
        return pyarrow.schema({**columns, **means, **after})

    def table(self, rows: Sequence[PhotoRow]) -> Any:
        """The rows as a ``pyarrow.Table``."""
        pyarrow = require("pyarrow", "parquet", "writing Parquet")
        return pyarrow.Table.from_pylist([_plain(row) for row in rows], self.schema())

    def concluded(self, parts: Sequence[Place]) -> dict[str, Any] | None:
        """The scores over all photos of these parts, as ``everymask evaluate`` says them; None for none."""
        every = [json.loads(text) for part in parts for text in _measures(part)]
        if not any(each["prompts"]["best"] for each in every):
            return None
        scores: dict[str, Any] = {"photos": len(every)}
        scores |= asdict(prompted_scores(PromptedMeasures(**each["prompts"]) for each in every))
        if self.clicks:
            scores |= asdict(click_scores((row for each in every for row in each["clicks"]), self.clicks))
        if self.everything:
            scores |= asdict(everything_scores(EverythingMeasures(**each["everything"]) for each in every))
        return scores


class Measurer:
    """Measures a model on one photo after the other."""

    def __init__(self, model: PromptableModel, model_hash: str, work: Evaluation) -> None:
        self.model, self.model_hash, self._work = model, model_hash, work
        self._predictor = ImagePredictor(model)
        self._generator = AutomaticMaskGenerator(model, **work.options) if work.everything else None
        settings = EverythingSegmenter(model, model_hash, work.options, {}).settings
        if not work.everything:
            settings = {"model": settings["model"], "model_hash": model_hash}
        chosen = {"evaluate": True, "everything": work.everything, "clicks": work.clicks}
        self.settings = {**settings, **chosen, "masks": work.masks and os.path.abspath(work.masks)}

    def __call__(self, example: Annotated) -> dict[str, Any]:
        """The measures by kind."""
        found: dict[str, Any] = {"prompts": asdict(measure_prompts(self.model, example))}
        if self._work.clicks:
            found["clicks"] = measure_clicks(self._predictor, example, self._work.clicks)
        if self._generator is not None:
            found["everything"] = asdict(measure_everything(self._generator, example))
        return found


def _plain(row: PhotoRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ("ticket", "photo", "source", "key", "tries", "seconds")}
    values |= {"error": row.error or None, "worker": row.worker}
    if row.masks is None:
        return values
    prompts, everything = row.masks["prompts"], row.masks.get("everything", {})
    means = {"click_best": prompts["best"], "click_top": prompts["top"], "box_iou": prompts["boxed"]}
    means["abo"] = everything.get("overlaps", [])
    told = {name: sum(each) / len(each) for name, each in means.items() if each}
    return {**values, **told, "regions": len(prompts["best"]), "measures": json.dumps(row.masks)}


def _measures(part: Place) -> Iterator[str]:
    import io

    parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
    column = parquet.read_table(io.BytesIO(part.read()), columns=["measures"]).column("measures")
    yield from (text for text in column.to_pylist() if text is not None)


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


@lru_cache(maxsize=4)
def _of_one_file(file: str, stamp: str) -> dict[str, list[PhotoMasks]]:
    found: dict[str, list[PhotoMasks]] = {}
    for each in read_photos(Path(file)):
        found.setdefault(each.photo, []).append(each)
    return found


@lru_cache(maxsize=64)
def _of_folder(folder: Path, stamp: str) -> dict[str, list[Path]]:
    return masks_named_after(folder)


@lru_cache(maxsize=64)
def _stems(folder: Path, stamp: str) -> frozenset[str]:
    return frozenset(path.stem for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
