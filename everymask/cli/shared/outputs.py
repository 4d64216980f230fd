"""Where the outputs of a run lie, and writing them: mask files, overlays, cutouts.

OUT/coco.json                 formats for the whole run
OUT/<format>/<photo>.<...>    formats with a file a photo
OUT/yolo/images, labels       photos and labels of the same names, and data.yaml: trains as it is
OUT/overlay/<photo>.jpg       the photo with its masks
OUT/cutouts/<photo>/<n>.png   each object alone, from 1
OUT/colour_map/<photo>.png    each mask flat in its colour
OUT/report.json               what was done, what failed, what was lost
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, OptionError
from ...everything.keep import Keep
from ...formats import (
    FORMATS,
    Format,
    Losses,
    PhotoMasks,
    WriteOptions,
    categories_of,
    find_format,
    fit,
    write_file,
)
from ...formats.classes import Classes, for_yolo
from ...formats.convert import RINGS
from ...formats.landing import landing
from ...formats.overlaps import POLICIES
from ...formats.record import UNLABELLED
from ...formats.yolo_folder import YoloFolder
from ...maskset import MaskSet
from .inputs import OWN_FOLDER
from .look import Look

OVERLAY, CUTOUTS, COLOUR_MAP = "overlay", "cutouts", "colour_map"
PICTURES = (OVERLAY, CUTOUTS, COLOUR_MAP)
FROM_THE_PHOTO = {OVERLAY, CUTOUTS}
"""Pictures that need the photo itself."""
JPEG_LIMIT = 65_500
"""The longest side that a JPEG can have; larger overlays become PNG."""


@dataclass(frozen=True)
class Outputs:
    """What to write, where, and with which choices."""

    folder: Path
    formats: tuple[Format, ...]
    look: Look
    keep: Keep
    overlap: str = "keep"
    rings: str = "bridge"
    val: float = 0.0
    """The share of photos that YOLO's folder keeps for validation."""
    categories: Classes = field(default_factory=lambda: Classes({UNLABELLED: 1}))
    """Every label that occurs, with its number; the model gives none."""

    @property
    def per_photo(self) -> list[str]:
        """The outputs with a file or folder a photo, by name."""
        formats = [format_.name for format_ in self.formats if format_.per == "photo"]
        return formats + [name for name in PICTURES if getattr(self.look, name)]

    @property
    def per_run(self) -> list[Format]:
        """The formats with one file for all photos."""
        return [format_ for format_ in self.formats if format_.per == "run"]

    def choices(self, output: str) -> str:
        """What a per-photo output depends on besides the masks: another value means write it again."""
        chosen = self.look.choices(output) if output in PICTURES else f"{self.overlap} {self.rings}"
        split = f"val={self.val:g}" if output == "yolo" and self.val else ""
        return " ".join(f"{chosen} {split} {self.keep}".split())

    def path_of(self, output: str, key: str, photo_hw: tuple[int, int]) -> Path:
        """Where a per-photo output of the photo with this key goes."""
        if output == OVERLAY:
            return self.folder / OVERLAY / f"{key}{'.jpg' if max(photo_hw) <= JPEG_LIMIT else '.png'}"
        if output == CUTOUTS:
            return self.folder / CUTOUTS / key
        if output == COLOUR_MAP:
            return self.folder / COLOUR_MAP / f"{key}.png"
        if output == "yolo":
            return self.yolo.label_path(key)
        return self.folder / output / f"{key}{FORMATS[output].suffix}"

    @property
    def yolo(self) -> YoloFolder:
        """Where YOLO's labels and photos go."""
        return YoloFolder(self.folder / "yolo", self.val)

    def run_path(self, format_: Format) -> Path:
        """Where a format for the whole run goes."""
        stem = "masks" if format_.suffix == f".{format_.name}" else format_.name
        return self.folder / f"{stem}{format_.suffix}"

    def folders(self) -> frozenset[Path]:
        """Folders that hold outputs, absolute: not to be searched for inputs."""
        inside = [self.folder / name for name in (*FORMATS, *PICTURES)]
        return frozenset(folder.absolute() for folder in (self.folder, *inside))


def choose_outputs(
    folder: Path,
    formats: Iterable[str],
    look: Look,
    keep: Keep,
    overlap: str,
    rings: str,
    val: float = 0.0,
) -> Outputs:
    """The outputs that flags ask for; COCO and overlays when they ask for none."""
    if overlap not in POLICIES:
        raise OptionError(f"--overlap must be one of {', '.join(POLICIES)}, got {overlap!r}")
    if rings not in RINGS:
        raise OptionError(f"--rings must be one of {', '.join(RINGS)}, got {rings!r}")
    if not 0 <= val < 1:
        raise OptionError(f"--val must be a share from 0 to below 1, got {val:g}")
    names = list(dict.fromkeys(formats))
    if not names and not any(getattr(look, name) for name in PICTURES):
        names, look = ["coco"], replace(look, overlay=True)
    return Outputs(folder, tuple(find_format(name) for name in names), look, keep, overlap, rings, val)


@dataclass(frozen=True)
class Asked:
    """What was asked of a photo, to be drawn over it."""

    clicks: tuple[tuple[float, float, int], ...] = ()  # x, y, label
    boxes: tuple[tuple[float, ...], ...] = ()  # XYXY
    candidates: tuple[tuple[int, ...], ...] = ()
    """Masks that are alternatives: the numbers of those of each panel, drawn side by side."""


def write_output(
    outputs: Outputs,
    output: str,
    key: str,
    photo: PhotoMasks,
    pixels: np.ndarray | None,
    scratch: Path | None = None,
    asked: Asked = Asked(),
) -> Losses:
    """Write one per-photo output of the masks kept, whole or not at all.

    ``pixels`` (RGB) are needed for pictures of the photo only.
    """
    path = outputs.path_of(output, key, photo.photo_hw)
    photo = replace(photo, masks=outputs.keep.apply(photo.masks))
    if output in PICTURES:
        with landing(path, scratch) as temporary:
            _draw(output, temporary, photo, pixels, outputs.look, asked)
        return Losses()
    fitting, losses = fit(photo, FORMATS[output], outputs.overlap)
    options = WriteOptions(outputs.categories, outputs.rings)
    if output == "yolo":
        outputs.yolo.put(key, photo.source, for_yolo(options.categories))
    return losses + write_file(FORMATS[output], path, [fitting], options, scratch)


def _draw(
    output: str, path: Path, photo: PhotoMasks, pixels: np.ndarray | None, look: Look, asked: Asked
) -> None:
    masks = photo.masks
    if output == COLOUR_MAP:
        from ...media.draw import colour_map

        save_picture(path, colour_map(masks, look.palette))
        return
    assert pixels is not None, f"{output} is drawn from the photo"
    from ...media.colour_profile import colour_profile

    profile = colour_profile(photo.source, 3)
    if output == OVERLAY:
        save_picture(path, overlay_picture(pixels, masks, look, asked), profile)
        return
    path.mkdir()
    for number, mask in enumerate(masks, 1):
        if mask.area:
            save_picture(path / f"{number}.png", look.cutout_of(pixels, mask), profile)


def overlay_picture(pixels: np.ndarray, masks: MaskSet, look: Look, asked: Asked) -> np.ndarray:
    """The overlay with what was asked; alternatives side by side, numbered from 1, with their scores."""
    from ...media.captions import side_by_side
    from ...media.marks import with_marks

    def drawn(some: MaskSet) -> np.ndarray:
        return with_marks(look.overlay_of(pixels, some), asked.clicks, asked.boxes)

    if not asked.candidates:
        return drawn(masks)
    panels = [masks[list(numbers)] for numbers in asked.candidates]
    captions = [
        f"{number}   score " + ", ".join(f"{mask.predicted_iou or 0:.2f}" for mask in panel)
        for number, panel in enumerate(panels, 1)
    ]
    return side_by_side([drawn(panel) for panel in panels], captions)


def save_picture(path: Path, picture: np.ndarray, profile: bytes | None = None) -> None:
    """Save an RGB picture by its suffix; JPEGs with full colour resolution, so that thin lines stay crisp.

    ``profile`` is the ICC profile of its colours.
    """
    from PIL import Image

    options: dict[str, Any] = {"quality": 92, "subsampling": 0} if path.suffix == ".jpg" else {}
    if path.suffix == ".png":
        options["compress_level"] = 3
    Image.fromarray(picture).save(path, icc_profile=profile, **options)


def write_run(
    outputs: Outputs, format_: Format, photos: Iterable[PhotoMasks], scratch: Path | None = None
) -> Losses:
    """Write one file for all photos, taken one at a time: a run of any length fits in memory."""
    losses: list[Losses] = []

    def fitting() -> Iterator[PhotoMasks]:
        for photo in photos:
            kept = replace(photo, masks=outputs.keep.apply(photo.masks))
            fitted, lost = fit(kept, format_, outputs.overlap)
            if lost:
                losses.append(lost)
            yield fitted

    options = WriteOptions(outputs.categories, outputs.rings)
    written = write_file(format_, outputs.run_path(format_), fitting(), options, scratch)
    return Losses.total([*losses, written])


@dataclass(frozen=True)
class Item:
    """The masks of one photo on their way out."""

    key: str
    photo: PhotoMasks
    pixels: Callable[[], np.ndarray]
    """Reads the photo itself, RGB [H, W, 3]; called where something is drawn."""
    asked: Asked = Asked()


def free_paths(
    outputs: Outputs,
    photos: Sequence[tuple[str, tuple[int, int]]],
    overwrite: bool,
    may_replace: Callable[[Path], bool] = lambda path: False,
) -> list[Path]:
    """Where all outputs of photos (key, height and width) go.

    Raises :class:`InputError` when a file is there that may not be replaced, and ``overwrite`` is off.
    """
    per_photo = [outputs.path_of(output, key, hw) for output in outputs.per_photo for key, hw in photos]
    paths = [*per_photo, *(outputs.run_path(format_) for format_ in outputs.per_run)]
    there = [path for path in paths if path.exists() and not may_replace(path)]
    if there and not overwrite:
        raise InputError(f"{there[0]} is there already; pass --overwrite to replace it, or choose another -o")
    return paths


def write_at_once(
    outputs: Outputs, items: Iterable[Item], overwrite: bool
) -> tuple[dict[str, Losses], list[Path]]:
    """Write all outputs of photos that are at hand: what each output could not hold, and the paths written.

    ``items`` is gone through once an output and twice before; nothing of them is kept but their paths.
    Raises :class:`InputError` when a file is there already and ``overwrite`` is off; nothing is written then.
    """
    places = [(item.key, item.photo.photo_hw) for item in items] if outputs.per_photo else []
    paths = free_paths(outputs, places, overwrite)
    outputs = replace(outputs, categories=categories_of(item.photo for item in items))
    (outputs.folder / OWN_FOLDER).mkdir(parents=True, exist_ok=True)
    losses: dict[str, Losses] = {}
    for output in outputs.per_photo:
        draws = output in FROM_THE_PHOTO
        lost = (
            write_output(
                outputs,
                output,
                item.key,
                item.photo,
                item.pixels() if draws else None,
                asked=item.asked,
            )
            for item in items
        )
        losses[output] = Losses.total(each for each in lost if each)
    for format_ in outputs.per_run:
        losses[format_.name] = write_run(outputs, format_, (item.photo for item in items))
    return {output: lost for output, lost in losses.items() if lost}, paths
