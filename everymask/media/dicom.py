"""DICOM pictures through pydicom (extra ``stacks``): one slice a file, or several frames in one.

Values are what the scanner means (rescale slope and intercept applied, such as Hounsfield units), dark to
bright as one sees it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import PictureError, one_line, require


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark after its preamble of 128 bytes."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def dicom_frames(path: Path) -> int:
    """How many frames a file holds."""
    return int(getattr(_read(path, pixels=False), "NumberOfFrames", 1) or 1)


def dicom_hw(path: Path) -> tuple[int, int]:
    """Height and width."""
    data = _read(path, pixels=False)
    return int(data.Rows), int(data.Columns)


def read_dicom(path: Path, frame: int = 0) -> np.ndarray:
    """A frame (from 0) at its own depth, [H, W] or RGB [H, W, 3]."""
    pixels = require("pydicom.pixels", "stacks", f"reading {path.name}")
    data = _read(path)
    try:
        values = pixels.pixel_array(data, index=frame)
        if data.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2"):
            values = pixels.apply_modality_lut(values, data)
    except Exception as error:  # a codec that is not installed, bytes that are not there, ...
        raise PictureError(f"{str(path)!r} cannot be decoded: {one_line(error)}") from error
    values = np.asarray(values)
    if data.get("PhotometricInterpretation") == "MONOCHROME1":  # low values are bright
        values = values.max() - values.astype(np.float32) + values.min()
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _read(path: Path, pixels: bool = True) -> Any:
    pydicom = require("pydicom", "stacks", f"reading {path.name}")
    try:
        data = pydicom.dcmread(path, stop_before_pixels=not pixels)
    except Exception as error:
        raise PictureError(f"{str(path)!r} cannot be decoded: {one_line(error)}") from error
    if "Rows" not in data:
        raise PictureError(f"{str(path)!r} is a DICOM file without a picture")
    return data
