"""Damaged picture files end in a photo or in a PictureError, never in anything else."""

import io
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image, features

from everymask.errors import PictureError
from everymask.media.photos import photo_size, read_photo

FORMATS = [
    "JPEG",
    "PNG",
    "TIFF",
    "GIF",
    "WEBP",
    "BMP",
    "JPEG2000",
    "PPM",
    "ICO",
    "AVIF",
    "PNG 16",
    "TIFF 16",
    "TIFF float",
]


def encoded(name):
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.integers(0, 255, (40, 56, 3)).astype(np.uint8), (9, 9), 0)
    if name == "PNG 16":
        return cv2.imencode(".png", smooth.astype(np.uint16) * 257)[1].tobytes()
    if name == "TIFF 16":
        return cv2.imencode(".tiff", smooth.astype(np.uint16) * 257)[1].tobytes()
    if name == "TIFF float":
        return cv2.imencode(".tiff", smooth.astype(np.float32))[1].tobytes()
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, name)
    return buffer.getvalue()


def damaged(data, seed):
    """Cut short, some bytes changed, a piece zeroed, or a piece doubled."""
    rng = np.random.default_rng(seed)
    broken = bytearray(data)
    start = int(rng.integers(0, len(broken)))
    match seed % 4:
        case 0:
            del broken[start:]
        case 1:
            for index in rng.integers(0, len(broken), 8):
                broken[index] = int(rng.integers(0, 256))
        case 2:
            broken[start : start + 40] = bytes(len(broken[start : start + 40]))
        case 3:
            broken[start:start] = broken[start : start + 40]
    return bytes(broken)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_ends_in_a_photo_or_a_picture_error(tmp_path, name, capfd):
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    whole = encoded(name)
    path = tmp_path / "a"
    path.write_bytes(whole)
    assert read_photo(path).ndim == 3
    outcomes = set()
    for seed in range(60):
        path.write_bytes(damaged(whole, seed))
        for read in (read_photo, photo_size):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    value = read(path)
                except PictureError:
                    outcomes.add("refused")
                else:
                    outcomes.add("read")
                    assert read is photo_size or (value.dtype == np.uint8 and value.shape[2] == 3)
    assert outcomes == {"refused", "read"} or name in ("BMP", "PPM")
    assert "Traceback" not in capfd.readouterr().err
