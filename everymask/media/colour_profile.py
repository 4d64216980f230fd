"""ICC profiles: what a photo's values mean on a screen goes along with its values.

A photo of a phone in Display P3, written without its profile, looks pale although no value has changed.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
PNG_HEADER = len(PNG) + 25  # the signature and IHDR
ICC_JPEG = b"ICC_PROFILE\0"
PART = 65_519
"""Bytes of a profile that one segment of a JPEG holds."""


def colour_profile(photo: Any, channels: int) -> bytes | None:
    """The ICC profile in a photo's file, if it is one of pictures with so many channels.

    None for a photo that is no file, that has none, or whose colours were converted (CMYK) when it was read.
    """
    if not isinstance(photo, str | os.PathLike) or not Path(photo).is_file():
        return None
    try:
        with Image.open(photo) as picture:
            profile = picture.info.get("icc_profile")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    wanted = b"RGB " if channels >= 3 else b"GRAY"
    return profile if isinstance(profile, bytes) and profile[16:20] == wanted else None


def holds_profile(suffix: str) -> bool:
    """Whether :func:`with_profile` knows the kind of file."""
    return suffix.lower() in (".png", ".jpg", ".jpeg")


def with_profile(data: bytes, profile: bytes) -> bytes:
    """The bytes of a PNG or JPEG without a profile, with one; its pixels are not touched."""
    if data.startswith(PNG):
        body = b"iCCP" + b"ICC\0\0" + zlib.compress(profile)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return data[:PNG_HEADER] + chunk + data[PNG_HEADER:]
    if not data.startswith(JPEG):
        raise ValueError("neither PNG nor JPEG")
    parts = [profile[start : start + PART] for start in range(0, len(profile), PART)]
    segments = [
        b"\xff\xe2"
        + struct.pack(">H", 4 + len(ICC_JPEG) + len(part))
        + ICC_JPEG
        + bytes([number, len(parts)])
        + part
        for number, part in enumerate(parts, 1)
    ]
    end = 2
    if data[2:4] == b"\xff\xe0":  # JFIF wants to be the first
        end += 2 + struct.unpack(">H", data[4:6])[0]
    return data[:end] + b"".join(segments) + data[end:]
