"""From photo pixels to model pixels and back, the official way of each family.

SAM keeps a photo's shape and pads it at the right and the bottom (:class:`Letterbox`); SAM 2 squeezes
it into a square (:class:`Squash`). Points are (x, y) in pixels, x to the right, y down; (0, 0) is the
upper left pixel.

Letters used in shapes: H x W the photo, S the model's side, h x w low-resolution mask logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# torch is imported where tensors are made: a click on features that are kept does without it.

Points = TypeVar("Points", np.ndarray, "Tensor")

ROWS_AT_ONCE = 64
"""Of a photo that is made float: 64 rows of 4,000 pixels stay in the processor's cache."""


@dataclass(frozen=True)
class Stretch:
    """One bilinear step on the way from mask logits to the photo."""

    to_hw: tuple[int, int]  # the size stretched to
    kept_hw: tuple[int, int]  # what is kept of it, from the upper left corner


class Frame(Protocol):
    """How one photo lies in a model's square picture."""

    @property
    def photo_hw(self) -> tuple[int, int]: ...

    @property
    def model_size(self) -> int: ...

    @property
    def white(self) -> float:
        """What 255 becomes in :meth:`resize`."""
        ...

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The bilinear steps of :meth:`upscale`, for code that does without the large tensors."""
        ...

    def to_model(self, points_xy: Points) -> Points:
        """Photo pixels [..., 2] -> model pixels [..., 2], in the type they came in."""
        ...

    def resize(self, photo: np.ndarray) -> Tensor:
        """RGB uint8 [H, W, 3] -> float32 [3, h, w] at the size the model sees, before normalising."""
        ...

    def upscale(self, logits: Tensor) -> Tensor:
        """Mask logits [..., h, w] of the whole model square -> [..., H, W] of the photo, float32."""
        ...


@dataclass(frozen=True)
class Letterbox:
    """SAM: the longer side becomes S, the rest of the square is padding at the right and the bottom.

    >>> Letterbox((1200, 1800), 1024).resized_hw
    (683, 1024)
    """

    photo_hw: tuple[int, int]
    model_size: int
    white: ClassVar[float] = 255.0

    @property
    def resized_hw(self) -> tuple[int, int]:
        """Height and width of the photo within the square; halves are rounded up, nothing vanishes."""
        scale = self.model_size * 1.0 / max(self.photo_hw)
        height, width = (max(1, int(side * scale + 0.5)) for side in self.photo_hw)
        return height, width

    def to_model(self, points_xy: Points) -> Points:
        """Photo pixels -> model pixels. float64 stays float64: SAM's everything mode counts on it.

        The factor is that of the rounded sizes, a little different for x and y.

        >>> Letterbox((600, 800), 1024).to_model(np.array([[400.0, 300.0]])).tolist()
        [[512.0, 384.0]]
        """
        (height, width), (photo_height, photo_width) = self.resized_hw, self.photo_hw
        return _scaled(points_xy, width / photo_width, height / photo_height)

    def resize(self, photo: np.ndarray) -> Tensor:
        """PIL's bilinear filter on uint8, as the model was trained: values stay whole, 0 to 255."""
        import torch
        from PIL import Image

        height, width = self.resized_hw
        resized = Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """To the model's square, and, the padding cut off, to the photo."""
        square = (self.model_size, self.model_size)
        return Stretch(square, self.resized_hw), Stretch(self.photo_hw, self.photo_hw)

    def upscale(self, logits: Tensor) -> Tensor:
        """Two bilinear steps, in float32: see :attr:`stretches`."""
        return _stretched(logits, self.stretches)


@dataclass(frozen=True)
class Squash:
    """SAM 2: the whole photo becomes S x S, whatever its shape."""

    photo_hw: tuple[int, int]
    model_size: int
    white: ClassVar[float] = 1.0

    def to_model(self, points_xy: Points) -> Points:
        """Photo pixels -> model pixels, by way of shares of the photo as the official code does it.

        >>> Squash((600, 800), 1024).to_model(np.array([[400.0, 300.0]])).tolist()
        [[512.0, 512.0]]
        """
        height, width = self.photo_hw
        shares = _divided(points_xy, width, height)
        return shares * self.model_size

    def resize(self, photo: np.ndarray) -> Tensor:
        """Antialiased bilinear filter on float values of 0 to 1.

        The official code makes the whole photo float first: 0.46 s for 12 megapixels, against 0.09. The
        filter goes along rows before columns, so rows can be made float a band at a time, to the same bits.
        """
        import cv2
        import torch
        from torch.nn import functional as F

        def filtered(pixels: Tensor, hw: tuple[int, int]) -> Tensor:
            return F.interpolate(pixels[None], hw, mode="bilinear", align_corners=False, antialias=True)[0]

        height, side = photo.shape[0], self.model_size
        narrowed = torch.empty(3, height, side)
        for top in range(0, height, ROWS_AT_ONCE):
            band = np.ascontiguousarray(photo[top : top + ROWS_AT_ONCE])
            shares = torch.from_numpy(np.stack(cv2.split(band))).float().div_(255)
            narrowed[:, top : top + len(band)] = filtered(shares, (len(band), side))
        return filtered(narrowed, (side, side))

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Straight to the photo."""
        return (Stretch(self.photo_hw, self.photo_hw),)

    def upscale(self, logits: Tensor) -> Tensor:
        """One bilinear step, in float32."""
        return _stretched(logits, self.stretches)


def _stretched(logits: Tensor, stretches: tuple[Stretch, ...]) -> Tensor:
    for stretch in stretches:
        height, width = stretch.kept_hw
        logits = _bilinear(logits, stretch.to_hw)[..., :height, :width]
    return logits


def _bilinear(logits: Tensor, hw: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., H, W], float32 at least, pixel centres aligned as OpenCV and PIL do."""
    import torch
    from torch.nn import functional as F

    *leading, h, w = logits.shape
    wide = logits if logits.dtype == torch.float64 else logits.float()
    maps = wide.reshape(1, -1, h, w) if logits.numel() else wide.reshape(1, 0, h, w)
    if maps.shape[1] == 0:
        return wide.new_zeros(*leading, *hw)
    return F.interpolate(maps, hw, mode="bilinear", align_corners=False).reshape(*leading, *hw)


def _scaled(points_xy: Points, x: float, y: float) -> Points:
    return points_xy * _pair(points_xy, x, y)


def _divided(points_xy: Points, x: float, y: float) -> Points:
    return points_xy / _pair(points_xy, x, y)


def _pair(points_xy: Points, x: float, y: float) -> Any:
    """(x, y) in the kind, type and place of ``points_xy``; whole numbers are taken as float64."""
    if not isinstance(points_xy, np.ndarray) and hasattr(points_xy, "detach"):  # a tensor
        import torch

        dtype = points_xy.dtype if points_xy.is_floating_point() else torch.float32
        return torch.tensor([x, y], dtype=dtype, device=points_xy.device)
    points = np.asarray(points_xy)
    return np.array([x, y], dtype=points.dtype if points.dtype.kind == "f" else np.float64)
