"""From 16-bit, float and other values to the 8 bits that models were trained with."""

from __future__ import annotations

from typing import Literal

import numpy as np

from everymask.errors import OptionError, PictureError

Range = Literal["percentile", "minmax", "dtype"] | tuple[float, float]

PERCENTILES = (0.5, 99.5)
"""The dark and the bright share that ``range="percentile"`` clips."""


def to_bytes(pixels: np.ndarray, range: Range = "percentile", valid: np.ndarray | None = None) -> np.ndarray:
    """Values of any depth as uint8 0..255 of the same shape.

    uint8 passes unchanged and booleans become 0 and 255, whatever ``range`` is. The rest is mapped
    linearly and clipped, with one low and one high value for all channels:

    - ``"percentile"``: the 0.5th and 99.5th percentile of the picture (microscopes and scanners use
      a small part of their range, and a few hot pixels should not darken the rest);
    - ``"minmax"``: the least and the greatest value;
    - ``"dtype"``: the whole range of an integer type; 0 and 1 for floats, which must lie within;
    - ``(low, high)``: these values.

    ``valid``, bool [H, W], says where something was measured: the other pixels do not count for the
    range, whatever they hold, and become black. A picture of one value becomes black. Raises
    PictureError for floats outside 0..1 under "dtype", and where nothing is valid.

    >>> to_bytes(np.array([0, 500, 1000], np.uint16), (0, 1000)).tolist()
    [0, 128, 255]
    """
    if valid is not None:
        if not valid.any():
            raise PictureError("a photo must have pixels with data, all of them are without (nodata)")
        known = to_bytes(pixels[valid], range)
        out = np.zeros(pixels.shape, np.uint8)
        out[valid] = known
        return out
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    low, high = value_range(pixels, range)
    if not high > low:
        return np.zeros(pixels.shape, np.uint8)
    # Beyond 1e36 the product with 255 leaves float32.
    exact_in_float32 = pixels.dtype.itemsize <= 2 or (pixels.dtype == np.float32 and high - low < 1e36)
    wide: np.ndarray = pixels.astype("float32" if exact_in_float32 else "float64")
    scaled = (np.clip(wide, low, high) - low) * 255.0 / (high - low)
    return (scaled + 0.5).astype(np.uint8)


def value_range(pixels: np.ndarray, range: Range) -> tuple[float, float]:
    """The values that become 0 and 255, see :func:`to_bytes`."""
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
                "pass range='minmax' or range=(low, high); in the shell --range minmax or --range LOW,HIGH"
            )
        return 0.0, 1.0
    limits = np.iinfo(pixels.dtype)
    return float(limits.min), float(limits.max)


def check_range(range: Range) -> None:
    """Raises OptionError for what :func:`to_bytes` does not know."""
    pair = isinstance(range, tuple) and len(range) == 2 and range[0] < range[1]
    if not pair and range not in ("percentile", "minmax", "dtype"):
        raise OptionError(
            f"range must be 'percentile', 'minmax', 'dtype' or (low, high) with low < high, got {range!r}"
        )
