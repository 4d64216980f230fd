"""A photo in other renditions, in which a model may see what it misses in the photo as it is.

Each is a pure function on arrays. :data:`RENDITIONS` names them, :func:`chosen` picks those that fit a photo.
OpenCV is imported where it is needed, since the names are part of every command's help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from everymask.errors import OptionError

PLAIN, AUTO = "plain", "auto"

GREY, FLAT, NOISY = 6.0, 70.0, 0.08
"""Below this colour and contrast, and above this noise as a share of the contrast, ``auto`` looks at more
than the photo as it is. BSDS500's photos have noise up to 0.05, textures counted in."""


@dataclass(frozen=True)
class Rendition:
    """One row of the table."""

    of: Callable[[np.ndarray], np.ndarray]
    """RGB uint8 [H, W, 3] to the same."""
    purpose: str


def as_it_is(photo: np.ndarray) -> np.ndarray:
    """The photo itself."""
    return photo


def local_normalisation(photo: np.ndarray) -> np.ndarray:
    """Every neighbourhood with the same mean and the same spread of lightness."""
    import cv2

    reach = max(1.0, 0.1 * min(photo.shape[:2]))
    values = photo.astype(np.float32)
    centred = values - cv2.GaussianBlur(values, (0, 0), reach)
    lightness = lightness_of(photo)
    squares: np.ndarray = np.square(lightness - cv2.GaussianBlur(lightness, (0, 0), reach))
    spread = np.sqrt(cv2.GaussianBlur(squares, (0, 0), reach)) + 4.0
    return np.clip(128 + 50 * centred / spread[..., None], 0, 255).astype(np.uint8)


def brightened(photo: np.ndarray) -> np.ndarray:
    """Darks lifted: a gamma of one half."""
    table = (255 * (np.arange(256) / 255) ** 0.5).round().astype(np.uint8)
    return table[photo]


def inverted(photo: np.ndarray) -> np.ndarray:
    """Dark on light for light on dark."""
    return 255 - photo


def scale_space(photo: np.ndarray) -> np.ndarray:
    """Pseudo-colour: lightness at a fine, a middle and a coarse scale as red, green and blue."""
    import cv2

    side = min(photo.shape[:2])
    lightness = lightness_of(photo)
    scales = (1.0, max(1.0, side / 100), max(1.0, side / 30))
    return np.stack([_stretched(cv2.GaussianBlur(lightness, (0, 0), scale)) for scale in scales], axis=-1)


def without_noise(photo: np.ndarray) -> np.ndarray:
    """The mean of alike neighbourhoods (non-local means), as strong as the photo is noisy."""
    import cv2

    strength = max(1.0, noise_of(photo))
    return cv2.fastNlMeansDenoisingColored(photo, None, strength, strength, 5, 15)


RENDITIONS: Mapping[str, Rendition] = {
    PLAIN: Rendition(as_it_is, "the photo as it is"),
    "normalised": Rendition(local_normalisation, "uneven light: dark corners, shading, microscopes"),
    "bright": Rendition(brightened, "dark photos, shadows"),
    "inverted": Rendition(inverted, "light on dark where a model has learnt dark on light"),
    "scales": Rendition(scale_space, "grey photos: texture and shade as colours"),
    "denoised": Rendition(without_noise, "noise"),
}
"""The renditions by name."""


def rendered(photo: np.ndarray, name: str) -> np.ndarray:
    """A photo, RGB uint8 [H, W, 3], in the rendition of this name."""
    return np.ascontiguousarray(RENDITIONS[name].of(photo))


def names_of(renditions: str) -> tuple[str, ...]:
    """The names in a checked option, which are joined by ``+``.

    >>> names_of("plain+bright")
    ('plain', 'bright')
    """
    return tuple(renditions.split("+"))


def checked_names(renditions: str | Sequence[str]) -> str:
    """Names of renditions, joined by ``+``, each once; or ``auto``. Raises :class:`OptionError`.

    >>> checked_names(["plain", "bright"]), checked_names("plain, bright"), checked_names("auto")
    ('plain+bright', 'plain+bright', 'auto')
    """
    if isinstance(renditions, str):
        words: list[object] = list(re.split(r"[+,\s]+", renditions.strip()))
    else:
        words = list(renditions) if isinstance(renditions, Sequence) else [renditions]
    if words == [AUTO]:
        return AUTO
    unknown = [word for word in words if word not in RENDITIONS]
    if unknown or not words:
        said = "nothing" if not words else ", ".join(repr(word) for word in unknown)
        raise OptionError(
            f"renditions must be some of {', '.join(RENDITIONS)}, joined by +, or {AUTO} alone; got {said}"
        )
    return "+".join(str(word) for word in dict.fromkeys(words))


@dataclass(frozen=True)
class Traits:
    """What is hard about a photo."""

    contrast: float
    """Spread of lightness: from its 5th to its 95th percentile, 0 to 255."""
    noise: float
    """Standard deviation of its noise, in steps of 255."""
    colour: float
    """How far colours are from grey: the mean of the largest less the smallest channel, 0 to 255."""


def traits_of(photo: np.ndarray) -> Traits:
    """The traits of a photo, RGB uint8 [H, W, 3]."""
    low, high = np.percentile(lightness_of(photo), (5, 95))
    colour = float((photo.max(axis=2).astype(np.int16) - photo.min(axis=2)).mean())
    return Traits(float(high - low), noise_of(photo), colour)


def chosen(photo: np.ndarray) -> tuple[str, ...]:
    """The renditions that fit a photo: what ``auto`` stands for. The first is the photo as it is."""
    traits = traits_of(photo)
    flat, noisy = traits.contrast < FLAT, traits.noise > NOISY * traits.contrast
    hard = flat or noisy or traits.colour < GREY
    return (PLAIN, *["normalised"] * flat, *["inverted"] * hard, *["denoised"] * noisy)


def noise_of(photo: np.ndarray) -> float:
    """The standard deviation of a photo's noise, from what is left of it after what is smooth is taken out.

    The median of absolute second differences along both axes (Immerkaer 1996, there with the mean): edges
    are few among all pixels.

    >>> round(noise_of(np.full((9, 9, 3), 80, np.uint8)), 1)
    0.0
    """
    import cv2

    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    left = cv2.filter2D(lightness_of(photo), -1, kernel)
    # 6: what the kernel makes of noise of 1; 0.6745: the median of its absolute values, if it is normal
    return float(np.median(np.abs(left)) / 0.6745 / 6)


def lightness_of(photo: np.ndarray) -> np.ndarray:
    """Lightness float32 [H, W], 0 to 255."""
    import cv2

    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _stretched(values: np.ndarray) -> np.ndarray:
    """Values [H, W] to 0 to 255, all but the outermost hundredths, uint8."""
    low, high = np.percentile(values, (1, 99))
    return np.clip((values - low) * (255 / max(high - low, 1e-3)), 0, 255).astype(np.uint8)
