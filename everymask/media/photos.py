"""A photo from a path, an array or a PIL picture as RGB uint8 [H, W, 3], by stated rules.

==========================  =======================================================================
what comes                  what is made of it
==========================  =======================================================================
EXIF orientation            applied, for files and PIL pictures alike; H and W are those one sees
grayscale, palette, CMYK,   converted to RGB as Pillow does
YCbCr, bilevel
transparency                dropped, the stored colours stay (as ``PIL.Image.convert("RGB")`` and
                            OpenCV do); with ``background=(r, g, b)`` composed onto that colour
16-bit, 32-bit, float       mapped to 0..255 by ``range``: see :func:`to_bytes`
8-bit                       never remapped
several pages or frames     refused unless ``page=`` says which; an MPO file (a phone's JPEG with a
                            preview behind it) and a TIFF's reduced overviews count as one page
arrays                      (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA
HEIC                        read if the package pillow-heif is installed
==========================  =======================================================================

Refused with a PictureError: what is missing, unreadable, truncated, no picture, without pixels, larger
than Pillow's limit against decompression bombs (178,956,970 pixels; ``PIL.Image.MAX_IMAGE_PIXELS``
moves it), or holds NaN.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from everymask.errors import OptionError, PictureError

Range = Literal["percentile", "minmax", "dtype"] | tuple[float, float]
PhotoLike = str | os.PathLike[str] | np.ndarray | Image.Image

PERCENTILES = (0.5, 99.5)
"""The dark and the bright share that ``range="percentile"`` clips."""

_OVERVIEW_TAG = 254  # TIFF NewSubfileType; bit 0: a reduced version of another page
_ORIENTATION_TAG = 0x0112


def read_photo(
    photo: PhotoLike,
    *,
    range: Range = "percentile",
    page: int | None = None,
    background: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """The photo as RGB uint8 [H, W, 3], upright.

    An RGB uint8 array is handed back without a copy, unless it is read-only. ``page`` counts from 0.
    Raises PictureError, and OptionError for a wrong ``range`` or ``background``.

    >>> read_photo(np.array([[0, 65535]], np.uint16), range="dtype")[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    _check_options(range, background)
    if isinstance(photo, np.ndarray):
        pixels = photo
    elif isinstance(photo, Image.Image):
        with _decoding("the PIL picture"):
            pixels = _upright_pixels(photo)
    elif isinstance(photo, (str, os.PathLike)):
        if "://" in str(photo):
            raise PictureError(f"{photo!r} is a web address; download the picture and pass its path")
        pixels = _read_file(Path(photo), page)
    else:
        raise PictureError(
            "a photo must be a path, an RGB array of shape (H, W, 3) or a PIL picture, "
            f"got {type(photo).__name__}"
        )
    return _as_rgb(to_bytes(_checked(pixels), range), background)


def photo_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of a picture file as :func:`read_photo` returns it, from its header where it tells.

    Raises PictureError.
    """
    path = Path(path)
    _refuse_what_is_no_file(path)
    with _decoding(repr(str(path))):
        try:
            picture = _opened(path)
        except Image.UnidentifiedImageError:
            height, width = _decode_by_other_means(path).shape[:2]
            return height, width
        with picture:
            width, height = picture.size
            turned = picture.getexif().get(_ORIENTATION_TAG, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def to_bytes(pixels: np.ndarray, range: Range = "percentile") -> np.ndarray:
    """Values of any depth as uint8 0..255 of the same shape.

    uint8 passes unchanged and booleans become 0 and 255, whatever ``range`` is. The rest is mapped
    linearly and clipped, with one low and one high value for all channels:

    - ``"percentile"``: the 0.5th and 99.5th percentile of the picture (microscopes and scanners use
      a small part of their range, and a few hot pixels should not darken the rest);
    - ``"minmax"``: the least and the greatest value;
    - ``"dtype"``: the whole range of an integer type; 0 and 1 for floats, which must lie within;
    - ``(low, high)``: these values.

    A picture of one value becomes black. Raises PictureError for floats outside 0..1 under "dtype".

    >>> to_bytes(np.array([0, 500, 1000], np.uint16), (0, 1000)).tolist()
    [0, 128, 255]
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    low, high = _value_range(pixels, range)
    if not high > low:
        return np.zeros(pixels.shape, np.uint8)
    exact_in_float32 = pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32
    wide: np.ndarray = pixels.astype("float32" if exact_in_float32 else "float64")
    scaled = (wide - low) * 255.0 / (high - low)
    return (np.clip(scaled, 0, 255) + 0.5).astype(np.uint8)


def _value_range(pixels: np.ndarray, range: Range) -> tuple[float, float]:
    if isinstance(range, tuple):
        return float(range[0]), float(range[1])
    if range == "minmax":
        return float(pixels.min()), float(pixels.max())
    if range == "percentile":
        low, high = np.percentile(pixels, PERCENTILES, method="nearest")
        return float(low), float(high)
    if pixels.dtype.kind == "f":
        if pixels.min() < 0 or pixels.max() > 1:
            raise PictureError(
                f"range='dtype' wants floats from 0 to 1, got {pixels.min():g} to {pixels.max():g}; "
                "pass range='minmax' or range=(low, high)"
            )
        return 0.0, 1.0
    limits = np.iinfo(pixels.dtype)
    return float(limits.min), float(limits.max)


def _check_options(range: Range, background: tuple[int, int, int] | None) -> None:
    pair = isinstance(range, tuple) and len(range) == 2 and range[0] < range[1]
    if not pair and range not in ("percentile", "minmax", "dtype"):
        raise OptionError(
            f"range must be 'percentile', 'minmax', 'dtype' or (low, high) with low < high, got {range!r}"
        )
    if background is not None and not (
        len(background) == 3 and all(0 <= int(value) <= 255 for value in background)
    ):
        raise OptionError(f"background must be (r, g, b) with values 0 to 255, got {background!r}")


# --- arrays ---------------------------------------------------------------------------------------


def _checked(pixels: np.ndarray) -> np.ndarray:
    """``pixels`` if they can be a picture, [H, W] or [H, W, 1 | 3 | 4]."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        hint = ""
        if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] > 16:
            hint = "; channels come last: array.transpose(1, 2, 0)"
        elif pixels.ndim == 3 and pixels.shape[2] > 4:
            hint = "; choose three of its channels: array[..., :3]"
        raise PictureError(
            f"a photo must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {pixels.shape}{hint}"
        )
    if pixels.size == 0:
        raise PictureError(f"a photo must have pixels, got shape {pixels.shape}")
    if pixels.dtype.kind not in "buif":
        raise PictureError(f"a photo must hold integers or floats, got values of type {pixels.dtype}")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise PictureError("a photo must hold finite values, got NaN or infinity; use np.nan_to_num first")
    return pixels


def _as_rgb(pixels: np.ndarray, background: tuple[int, int, int] | None) -> np.ndarray:
    """uint8 [H, W] or [H, W, 1 | 3 | 4] as contiguous RGB [H, W, 3]."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4 and background is not None:
        alpha = pixels[..., 3:].astype(np.float32) / 255
        behind = np.array(background, np.float32)
        return (pixels[..., :3] * alpha + behind * (1 - alpha) + 0.5).astype(np.uint8)
    rgb = np.ascontiguousarray(pixels[..., :3])
    return rgb if rgb.flags.writeable else rgb.copy()  # torch warns of read-only memory


# --- files ----------------------------------------------------------------------------------------


def _read_file(path: Path, page: int | None) -> np.ndarray:
    _refuse_what_is_no_file(path)
    with _decoding(repr(str(path))):
        try:
            picture = _opened(path)
        except Image.UnidentifiedImageError:
            return _decode_by_other_means(path)
        with picture:
            _turn_to_page(picture, path, page)
            if _is_deep_colour(picture):
                pixels = _decode_deep(path, page or 0)
                return _turned(pixels, picture.getexif().get(_ORIENTATION_TAG, 1))
            return _upright_pixels(picture)


def _opened(path: Path) -> Image.Image:
    """The picture file with its header read."""
    with warnings.catch_warnings():
        # Pillow warns from half its limit on and refuses at the limit; one line is enough.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
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
def _decoding(name: str) -> Iterator[None]:
    """Whatever a decoder raises on a broken file, as a PictureError that names the file."""
    try:
        yield
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise PictureError(
            f"{name} has more than the {most:,} pixels that are decoded from one file; "
            "raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        ) from error
    except PermissionError as error:
        raise PictureError(f"{name} cannot be read: permission denied") from error
    except MemoryError as error:
        raise PictureError(f"{name} needs more memory than there is") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise PictureError(f"{name} cannot be decoded: {error}") from error


def _decode_by_other_means(path: Path) -> np.ndarray:
    """The pixels of a picture that Pillow alone does not know, or a PictureError that says what is there."""
    with path.open("rb") as file:
        start = file.read(32)
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return _decode_heic(path)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _decode_deep(path)
    raise PictureError(f"{str(path)!r} is not a picture in a known format (it starts with {start[:8]!r})")


def _decode_heic(path: Path) -> np.ndarray:
    try:
        import pillow_heif
    except ImportError:
        raise PictureError(
            f"{str(path)!r} is a HEIC picture; run: pip install pillow-heif, or save it as JPEG"
        ) from None
    return _upright_pixels(pillow_heif.open_heif(path).to_pillow())


def _turn_to_page(picture: Image.Image, path: Path, page: int | None) -> None:
    """Move to the asked page; more than one page and none asked for is refused."""
    frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if page is None:
        count = _full_pages(picture, frames)
        if count > 1:
            raise PictureError(
                f"{str(path)!r} holds {count} pages or frames; pass page=0 to page={frames - 1}"
            )
        return
    if not 0 <= page < frames:
        raise PictureError(f"page must be from 0 to {frames - 1} for {str(path)!r}, got {page}")
    if page:
        picture.seek(page)


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


def _upright_pixels(picture: Image.Image) -> np.ndarray:
    """The pixels of a PIL picture at their own depth, upright, [H, W] or [H, W, 3 | 4]."""
    if 0 in picture.size:
        raise PictureError(f"a photo must have pixels, got size {picture.size[0]} x {picture.size[1]}")
    with warnings.catch_warnings():
        # "Palette images with Transparency expressed in bytes": converted to RGBA right below.
        warnings.simplefilter("ignore", UserWarning)
        upright = ImageOps.exif_transpose(picture)
        return np.asarray(_in_a_plain_mode(upright))


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
    """Colour of more than 8 bits, which Pillow would cut to the upper 8 without a word."""
    tiles = getattr(picture, "tile", ())  # how the decoder will unpack: (codec, extents, offset, args)
    return picture.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in tiles)


def _decode_deep(path: Path, page: int = 0) -> np.ndarray:
    """A file's pixels at full depth, [H, W] or RGB [H, W, 3 | 4]."""
    import cv2  # heavy, and needed for few pictures

    packed = np.fromfile(path, np.uint8)
    if page:
        _, pages = cv2.imdecodemulti(packed, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
        pixels = pages[0] if pages else None
    else:
        pixels = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise PictureError(
            f"{str(path)!r} cannot be decoded; read it with tifffile or rasterio, "
            "choose three channels and pass the array"
        )
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [H, W, ...] upright, by the EXIF orientation 1..8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
