"""Picture files: which page, which decoder, which way up, and every way in which a file can be no picture."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from everymask.errors import InputError, MissingExtraError, PictureError, one_line
from everymask.media.dicom import dicom_frames, dicom_hw, is_dicom, read_dicom
from everymask.media.rasters import (
    OTHER_RASTERS,
    Pixels,
    has_rasterio,
    is_scene,
    raster_pages,
    raster_size,
    read_raster,
)
from everymask.media.stacks import is_stack, opened_stack
from everymask.opencv import silent
from everymask.orientation import checked, read_orientation, turned, upright_hw
from everymask.pillow import LIMIT_VARIABLE, ORIENTATION_TAG, upright, within_limit
from everymask.pillow import silent as libtiff_silent
from everymask.quiet import ignoring

_OVERVIEW_TAG = 254  # TIFF NewSubfileType; bit 0: a reduced version of another page
_SIDE_TAGS = 256, 257  # ImageWidth, ImageLength
_BITS_TAG, _PLANAR_TAG = 258, 284
PICTURE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".pnm", ".dcm"),
}
"""What a folder is searched for. Files named one by one may be called anything."""


def read_file(path: Path, page: int | None, bands: Sequence[int] | None = None) -> Pixels:
    """The pixels of a picture file at their own depth, upright, [H, W] or RGB [H, W, 3 | 4]."""
    _refuse_what_is_no_file(path)
    with decoding(repr(str(path))):
        if is_stack(path):
            with opened_stack(path) as stack:
                _check_page(page, stack.frames, str(path))
                return Pixels(stack.read(page or 0, bands))
        if is_dicom(path):
            _check_page(page, dicom_frames(path), str(path))
            return Pixels(read_dicom(path, page or 0))
        if bands is not None or (is_scene(path) and _can_read_scene(path)):
            return _upright_raster(path, bands, page)
        try:
            picture = opened(path)
        except Image.UnidentifiedImageError:
            return _decode_by_other_means(path, page)
        with picture:
            _turn_to_page(picture, path, page)
            try:
                if _is_cut(picture, path):
                    return _upright_raster(path)
                if _is_deep_colour(picture):
                    if _is_planar(picture):  # OpenCV reads its first page for every page
                        return _upright_raster(path, page=page)
                    return Pixels(_decode_deep(path, page or 0))
                return Pixels(upright_pixels(picture))
            except InputError:
                raise
            except Exception:  # Pillow opens files whose layout it then cannot unpack
                if picture.format not in ("TIFF", "JPEG2000") or not has_rasterio():
                    raise
                return _upright_raster(path, page=page if picture.format == "TIFF" else None)


def photo_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of a picture file as :func:`read_photo` returns it, from its header where it tells.

    Raises PictureError.
    """
    path = Path(path)
    _refuse_what_is_no_file(path)
    with decoding(repr(str(path))):
        if is_stack(path):
            with opened_stack(path) as stack:
                return stack.hw
        if is_dicom(path):
            return dicom_hw(path)
        if is_scene(path) and has_rasterio():
            return upright_hw(raster_size(path), read_orientation(path))
        try:
            picture = opened(path)
        except Image.UnidentifiedImageError:
            if _is_tiff(path) and has_rasterio():
                return upright_hw(raster_size(path), read_orientation(path))
            height, width = _decode_by_other_means(path).values.shape[:2]
            return height, width
        with picture:
            return upright_hw(_stored_hw(picture), checked(picture.getexif().get(ORIENTATION_TAG)))


def _stored_hw(picture: Image.Image) -> tuple[int, int]:
    """Height and width as a file stores them; Pillow 11 and later gives those of a TIFF upright."""
    tags = getattr(picture, "tag_v2", {})
    width, height = (tags.get(tag, side) for tag, side in zip(_SIDE_TAGS, picture.size, strict=True))
    return int(height), int(width)


def _upright_raster(path: Path, bands: Sequence[int] | None = None, page: int | None = None) -> Pixels:
    """What rasterio reads, which turns nothing, upright."""
    pixels, orientation = read_raster(path, bands, page), read_orientation(path, page or 0)
    valid = None if pixels.valid is None else turned(pixels.valid, orientation)
    return Pixels(turned(pixels.values, orientation), valid)


def _can_read_scene(path: Path) -> bool:
    """Whether rasterio is there to read it; else says what is lost."""
    if not has_rasterio() and path.suffix.lower() not in OTHER_RASTERS:
        warnings.warn(
            f"of {path.name}, pixels without data and further bands are read with rasterio only: "
            "pip install 'everymask[geo]'",
            UserWarning,
            stacklevel=2,
        )
        return False
    return True


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def opened(path: Path) -> Image.Image:
    """The picture file with its header read by Pillow, within its limit. Raises what Pillow raises."""
    with within_limit():
        return Image.open(path)


def _refuse_what_is_no_file(path: Path) -> None:
    name = str(path)
    if path.is_dir():
        raise PictureError(f"{name!r} is a folder, not a picture")
    if not path.exists():
        raise PictureError(f"there is no picture at {name!r}")
    if not os.access(path, os.R_OK):
        raise PictureError(f"{name!r} cannot be read: permission denied")
    if path.stat().st_size == 0:
        raise PictureError(f"{name!r} is empty (0 bytes)")


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Whatever a decoder raises on a broken file, as a PictureError that names the file."""
    with within_limit(), _said_in_a_line(name), libtiff_silent():
        yield


@contextmanager
def _said_in_a_line(name: str) -> Iterator[None]:
    try:
        yield
    except (InputError, MissingExtraError):
        raise
    except Image.DecompressionBombError as error:
        most = int(2 * (Image.MAX_IMAGE_PIXELS or 0))
        raise PictureError(
            f"{name} has more than the {most:,} pixels that are decoded from one file; if you trust it, "
            f"raise PIL.Image.MAX_IMAGE_PIXELS, or in the shell: export {LIMIT_VARIABLE}=PIXELS"
        ) from error
    except PermissionError as error:
        raise PictureError(f"{name} cannot be read: permission denied") from error
    except MemoryError as error:
        raise PictureError(f"{name} needs more memory than there is") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise PictureError(f"{name} cannot be decoded: {one_line(error)}") from error


def _decode_by_other_means(path: Path, page: int | None = None) -> Pixels:
    """The pixels of a picture that Pillow alone does not know, or a PictureError that says what is there."""
    with path.open("rb") as file:
        start = file.read(32)
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return Pixels(_decode_heic(path))
    if _is_tiff(path):
        return _upright_raster(path, page=page) if has_rasterio() else Pixels(_decode_deep(path, page or 0))
    raise PictureError(f"{str(path)!r} is not a picture in a known format (it starts with {start[:8]!r})")


def _decode_heic(path: Path) -> np.ndarray:
    try:
        import pillow_heif
    except ImportError:
        raise PictureError(
            f"{str(path)!r} is a HEIC picture; run: pip install pillow-heif, or save it as JPEG"
        ) from None
    return upright_pixels(pillow_heif.open_heif(path).to_pillow())


def count_pages(path: Path) -> int:
    """Full pages or frames of a picture file: those of a TIFF without its overviews, of a hyperstack its
    times and depths; 1 where only other decoders know the file."""
    with decoding(repr(str(path))):
        if is_stack(path):
            with opened_stack(path) as stack:
                return stack.frames
        if is_dicom(path):
            return dicom_frames(path)
        if is_scene(path) and has_rasterio():
            return raster_pages(path)
        try:
            picture = opened(path)
        except Image.UnidentifiedImageError:
            return raster_pages(path) if _is_tiff(path) and has_rasterio() else 1
        with picture:
            return _full_pages(picture, 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1))


def _turn_to_page(picture: Image.Image, path: Path, page: int | None) -> None:
    """Move to the asked page; more than one page and none asked for is refused."""
    frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    _check_page(page, frames, str(path), _full_pages(picture, frames) if page is None else frames)
    if page:
        picture.seek(page)


def _check_page(page: int | None, frames: int, name: str, full: int | None = None) -> None:
    """Raise PictureError for a page that is not there, or where one of several must be named.

    ``full`` are the pages that could be meant, where those are fewer.
    """
    count = frames if full is None else full
    if page is None and count > 1:
        raise PictureError(
            f"{name!r} holds {count} pages or frames; "
            f"pass page=0 to page={frames - 1} (--page 1 to --page {frames} in the shell)"
        )
    if page is not None and not 0 <= page < frames:
        raise PictureError(
            f"{name!r} has page=0 to page={frames - 1} (--page 1 to --page {frames} in the shell), "
            f"there is no page={page}"
        )


def _full_pages(picture: Image.Image, frames: int) -> int:
    """Pages without a TIFF's reduced overviews, which only repeat the first one."""
    tags = getattr(picture, "tag_v2", None)
    if frames == 1 or tags is None:
        return frames
    full = 0
    for frame in range(frames):
        picture.seek(frame)
        full += not picture.tag_v2.get(_OVERVIEW_TAG, 0) & 1  # type: ignore[attr-defined]
    picture.seek(0)
    return full


# --- PIL pictures ---------------------------------------------------------------------------------


def upright_pixels(picture: Image.Image) -> np.ndarray:
    """The pixels of a PIL picture at their own depth, upright, [H, W] or [H, W, 3 | 4]."""
    if 0 in picture.size:
        raise PictureError(f"a photo must have pixels, got size {picture.size[0]} x {picture.size[1]}")
    # "Palette images with Transparency expressed in bytes": converted to RGBA right below.
    with ignoring(UserWarning):
        return np.asarray(_in_a_plain_mode(upright(picture)))


def _in_a_plain_mode(picture: Image.Image) -> Image.Image:
    """Gray, deep gray, RGB or RGBA."""
    if picture.mode in ("L", "RGB", "RGBA", "F") or picture.mode.startswith("I"):
        if "transparency" in picture.info and picture.mode in ("L", "RGB"):
            return picture.convert("RGBA")
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode == "La":  # premultiplied gray, which Pillow converts by one step only
        picture = picture.convert("LA")
    transparent = picture.mode in ("LA", "PA", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if transparent else "RGB")


def _is_deep_colour(picture: Image.Image) -> bool:
    """Colour of more than 8 bits, which Pillow would cut to the upper 8 without a word, or read wrongly."""
    if picture.mode not in ("RGB", "RGBA"):
        return False
    bits = getattr(picture, "tag_v2", {}).get(_BITS_TAG, 8)
    tiles = getattr(picture, "tile", ())  # how the decoder will unpack: (codec, extents, offset, args)
    return np.max(bits) > 8 or any(";16" in str(tile[3]) for tile in tiles)


def _is_planar(picture: Image.Image) -> bool:
    """Whether a TIFF keeps its bands one after the other."""
    return getattr(picture, "tag_v2", {}).get(_PLANAR_TAG, 1) == 2


def _is_cut(picture: Image.Image, path: Path) -> bool:
    """Whether Pillow reads less of a JPEG 2000 than it holds: the upper 8 bits, or fewer channels."""
    if picture.format != "JPEG2000":
        return False
    with path.open("rb") as file:
        start = file.read(1 << 16)
    place = start.find(b"\xff\x4f\xff\x51")  # the code stream's SIZ segment: Csiz, then Ssiz of each
    if not 0 <= place < len(start) - 42:
        return False
    channels, bits = int.from_bytes(start[place + 40 : place + 42], "big"), (start[place + 42] & 0x7F) + 1
    return channels != len(picture.getbands()) or (bits > 8 and channels > 1)


def _decode_deep(path: Path, page: int = 0) -> np.ndarray:
    """A file's pixels at full depth, upright, [H, W] or RGB [H, W, 3 | 4]."""
    import cv2  # heavy, and needed for few pictures

    packed = np.fromfile(path, np.uint8)
    with silent():
        if page:
            _, pages = cv2.imdecodemulti(packed, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
            pixels = pages[0] if pages else None
        else:
            pixels = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise PictureError(
            f"{str(path)!r} cannot be decoded by Pillow or OpenCV; for rasters of other kinds run: "
            "pip install 'everymask[geo]'"
        )
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels if _is_tiff(path) else turned(pixels, read_orientation(path))  # OpenCV turns TIFFs itself
