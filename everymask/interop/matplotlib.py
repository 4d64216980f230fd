"""Masks on matplotlib axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import require
from ..maskset import MaskSet
from ..media.draw import draw_overlay
from ..media.photos import PhotoLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY = 127


def plot(masks: MaskSet, photo: PhotoLike | None = None, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw the masks over ``photo`` (RGB uint8 [H, W, 3], a path, ...), or over grey, on ``ax`` or new axes.

    ``options`` are those of :func:`everymask.draw_overlay`. The axes count pixels of the photo and are
    handed back, to draw on.
    """
    pyplot = require("matplotlib.pyplot", "notebook", "plotting masks")
    if ax is None:
        _, ax = pyplot.subplots()
    ground = np.full((*masks.photo_hw, 3), GREY, np.uint8) if photo is None else photo
    ax.imshow(draw_overlay(ground, masks, **options))
    ax.set_axis_off()
    return ax
