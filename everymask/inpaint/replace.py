"""Something else where something was: :func:`replace`."""

from __future__ import annotations

import numpy as np

from everymask.errors import OptionError
from everymask.inpaint.diffusion import Diffusion, Painting
from everymask.inpaint.erase import MaskLike, checked_mask, filled, raw_pixels
from everymask.media.photos import PhotoLike


def replace(
    photo: PhotoLike,
    mask: MaskLike,
    prompt: str,
    model: str | None = None,
    *,
    negative: str = "",
    steps: int = 30,
    strength: float = 1.0,
    guidance: float = 7.5,
    seed: int = 0,
    grow: int | None = None,
    device: str | None = None,
) -> np.ndarray:
    """The photo with what ``prompt`` says where the mask is, an array of its own shape and depth.

    ``photo``, ``mask`` and ``grow`` are those of :func:`everymask.erase`: a crop around the grown mask is
    painted at the model's size and blended back; every other pixel stays as it is, to the bit. ``model`` is a
    name of ``everymask models list`` or a folder that `diffusers` opens for inpainting; by default Stable
    Diffusion 1.5 (extra ``diffusion``; 4.3 GB at the first call). ``strength`` below 1 keeps something of
    what was there, the same ``seed`` paints the same picture, ``negative`` names what should not be there.

    Raises ``PictureError``, ``PromptError`` and ``OptionError`` for what is handed in, ``MissingExtraError``,
    ``DownloadError`` or ``CheckpointError`` for the model.

    >>> em.replace("photo.jpg", em.find("photo.jpg", "cup"), "a red chair")     # doctest: +SKIP
    """
    painting = Painting(prompt, negative, steps, strength, guidance, seed)
    pixels = raw_pixels(photo)
    hole = checked_mask(mask, pixels.shape[:2])
    if grow is not None and grow < 0:
        raise OptionError(f"grow must be at least 0 pixels, got {grow}")
    return filled(pixels, hole, Diffusion(model, painting, device), grow)
