"""The doors of the room: read masks, save masks, and make them fit what a format can hold."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import EverymaskError, FormatError, OptionError
from ..maskset import Mask, MaskSet
from ..opencv import silent
from . import yolo
from .classes import for_yolo
from .georeference import Georeference
from .landing import landing
from .losses import Loss, Losses
from .overlaps import POLICIES, settled
from .record import UNLABELLED, PhotoMasks, SizeOf, WriteOptions, categories_of
from .sniff import recognise
from .table import FIELDS, Format, find_format, format_of_suffix

RINGS = ("bridge", "largest")


def read_photos(
    path: str | Path,
    format: str | None = None,
    *,
    photo_hw: tuple[int, int] | SizeOf | None = None,
    georeference: Georeference | None = None,
) -> list[PhotoMasks]:
    """Every photo's masks in a file (or folder, for the format ``amg``).

    ``format`` is told by the ending and the content when not given. ``photo_hw`` (height, width) is needed
    where the file does not say how large the photo is: YOLO, lists without masks, some files of LabelMe,
    Label Studio, COCO and CVAT; for a file of several photos it is a function from a photo's name to its
    size. ``georeference`` is the photo's place on the map, for GeoJSON in degrees by another tool. Raises
    :class:`FormatError` for a file that is malformed or of no known format.
    """
    if not isinstance(path, str | Path):
        raise FormatError(f"masks are read from a path, got {type(path).__name__}")
    file = Path(path)
    if not file.exists():
        raise FormatError(f"there is no file {file}")
    found = find_format(format) if format else recognise(file)
    if callable(photo_hw) and found.per == "photo" and found.name != "labelme":  # which names its photo
        photo_hw = photo_hw(file.stem)
    place = {"georeference": georeference} if found.name == "geojson" else {}
    try:
        with silent():
            return found.load().read(file, photo_hw, **place)
    except EverymaskError:
        raise
    except MemoryError as error:
        raise FormatError(f"{file} asks for more memory than there is") from error
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # a file can be wrong in ways that only the libraries under us know
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise FormatError(f"{file} is not in the format {found.name} ({what})") from error


def read_masks(
    path: str | Path,
    format: str | None = None,
    *,
    photo: str | None = None,
    photo_hw: tuple[int, int] | None = None,
    georeference: Georeference | None = None,
) -> MaskSet:
    """The masks of one photo from a file of any format of :data:`everymask.formats.FORMATS`.

    Frames and order are those of the file. ``photo`` names the photo in a file that holds several; the
    other arguments and errors are those of :func:`read_photos`. What has no pixels (points, lines) is not
    in the result: a ``UserWarning`` says how much.
    """
    sizes = (lambda name: photo_hw) if photo_hw else None
    photos = read_photos(path, format, photo_hw=sizes, georeference=georeference)
    if photo is not None:
        chosen = [each for each in photos if photo in (each.photo, Path(each.photo).name)]
    else:
        chosen = photos
    if len(chosen) == 1:
        if chosen[0].unread:
            warnings.warn(f"{path}: {chosen[0].unread}", UserWarning, stacklevel=2)
        return chosen[0].masks
    names = ", ".join(each.photo for each in photos[:5]) + (", ..." if len(photos) > 5 else "")
    if photo is not None:
        raise FormatError(
            f"{path} has {len(chosen) or 'no'} photos named {photo!r}; it holds: {names or 'none'}"
        )
    raise FormatError(
        f"{path} holds {len(photos)} photos ({names}); choose one with photo=, or use read_photos"
    )


def save(
    masks: MaskSet,
    path: str | Path,
    format: str | None = None,
    *,
    photo: str | None = None,
    overlap: str = "keep",
    rings: str = "bridge",
    georeference: Georeference | None = None,
) -> Losses:
    """Write the masks of one photo to a file, whole or not at all; returns what the format could not hold.

    ``format`` is told by the ending of ``path`` when not given (``.json`` is COCO). ``photo`` is the file
    name of the photo to write into the file, by default that of ``path`` with ``.jpg``. ``overlap`` is
    "keep" (masks may share pixels where the format allows it), "disjoint" or "nested" (see
    :mod:`everymask.formats.overlaps`). ``rings`` is for formats of one outline a mask: "bridge" or "largest".

    Raises :class:`FormatError` for an unknown format, :class:`OptionError` for an option,
    :class:`MissingExtraError` where the format needs a package that is not installed.
    """
    target = Path(path)
    chosen = find_format(format) if format else format_of_suffix(target.suffix)
    record = PhotoMasks(photo or f"{target.stem}.jpg", masks, georeference)
    fitting, losses = fit(record, chosen, overlap)
    options = _options([fitting], rings)
    names = for_yolo(options.categories)
    if chosen.name == "yolo" and names != [UNLABELLED]:
        yolo.write_names(target.parent / yolo.NAMES_FILE, names)
    return losses + write_file(chosen, target, [fitting], options)


def _options(photos: list[PhotoMasks], rings: str) -> WriteOptions:
    if rings not in RINGS:
        raise OptionError(f"rings must be one of {', '.join(RINGS)}, got {rings!r}")
    return WriteOptions(categories_of(photos), rings)


def write_file(
    format_: Format,
    path: Path,
    photos: Iterable[PhotoMasks],
    options: WriteOptions,
    scratch: Path | None = None,
) -> Losses:
    """Write photos that fit the format (see :func:`fit`) to a file; a per-photo format takes exactly one."""
    options = replace(options, folder=path.parent)
    with landing(path, scratch) as temporary:
        writer: Any = format_.load().write
        if format_.per == "run":
            return writer(temporary, photos, options)
        (photo,) = photos
        return writer(temporary, photo, options)


def fit(photo: PhotoMasks, format_: Format, overlap: str = "keep") -> tuple[PhotoMasks, Losses]:
    """The photo's masks as the format can hold them, and what that cost.

    Settles overlaps, and counts the values and the georeference that the format has no place for. Losses
    of shape (holes, parts) are found by the writer.
    """
    if overlap not in POLICIES:
        raise OptionError(f"overlap must be one of {', '.join(POLICIES)}, got {overlap!r}")
    masks, lost = _known_scores(photo.masks)
    losses = (
        lost + _lost_fields(masks, format_) + _lost_photo_fields(photo, format_) + _lost_place(photo, format_)
    )
    if not format_.holds_empty and (empty := sum(mask.area == 0 for mask in masks)):
        losses += Losses((Loss("empty", empty),))
        masks = masks.filter(min_area=1)
    policy = "disjoint" if not format_.holds_overlaps else overlap
    masks, lost = settled(masks, policy)
    return replace(photo, masks=masks), losses + lost


def _lost_fields(masks: MaskSet, format_: Format) -> Losses:
    absent = [name for name in FIELDS if name not in format_.fields and name != "attributes"]
    gone: dict[str, None] = {}
    concerned = 0
    for mask in masks:
        lost = [name for name in absent if getattr(mask, name) is not None]
        lost += [f"attribute {name}" for name in mask.attributes if not _holds_attribute(format_, mask, name)]
        concerned += bool(lost)
        gone |= dict.fromkeys(lost)
    ordered = [name for name in absent if name in gone] + [name for name in gone if name not in absent]
    return Losses((Loss("fields", concerned, detail=", ".join(ordered)),)) if concerned else Losses()


def _holds_attribute(format_: Format, mask: Mask, name: str) -> bool:
    if "attributes" in format_.fields or format_.texts is None:
        return "attributes" in format_.fields
    return name in format_.texts or isinstance(mask.attributes[name], str)


def _known_scores(masks: MaskSet) -> tuple[MaskSet, Losses]:
    """The masks without scores that are NaN or infinite: no format has a number for them."""
    names = ("predicted_iou", "stability_score")
    wrong = [
        {name: None for name in names if not math.isfinite(getattr(mask, name) or 0.0)} for mask in masks
    ]
    count = sum(map(bool, wrong))
    if not count:
        return masks, Losses()
    known = [mask.replace(**each) if each else mask for mask, each in zip(masks, wrong, strict=True)]
    gone = ", ".join(name for name in names if any(name in each for each in wrong))
    return MaskSet(known, masks.photo_hw), Losses(
        (Loss("fields", count, detail=f"{gone} that is no number"),)
    )


def _lost_photo_fields(photo: PhotoMasks, format_: Format) -> Losses:
    """What is known of the photo itself has a place in COCO's files only."""
    if format_.name.startswith("coco") or not photo.attributes:
        return Losses()
    named = ", ".join(f"photo's {name}" for name in photo.attributes)
    return Losses((Loss("fields", len(photo.masks), detail=named),))


def _lost_place(photo: PhotoMasks, format_: Format) -> Losses:
    if photo.georeference is None or format_.on_map or not len(photo.masks):
        return Losses()
    return Losses((Loss("georeference", len(photo.masks)),))
