"""``segment_anything.utils.transforms``: from photo pixels to the pixels of SAM's square."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from everymask.geometry import Letterbox


class ResizeLongestSide:
    """Photos, points and boxes at the size where the longer side is ``target_length``."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, C] resized with PIL's bilinear filter."""
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        """Points [..., 2] in photo pixels moved to the resized photo, float64."""
        return self._frame(original_size).to_model(np.asarray(coords).astype(float))

    def apply_boxes(self, boxes: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        """Boxes [B, 4], or one of [4], as [B, 4] float64."""
        return self.apply_coords(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """Float [B, C, H, W] resized with antialiasing; close to :meth:`apply_image`, not equal.

        The official method takes B and C for the photo's size; this one takes H and W.
        """
        size = self.get_preprocess_shape(image.shape[-2], image.shape[-1], self.target_length)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor, original_size: tuple[int, ...]) -> Tensor:
        """As :meth:`apply_coords`, for tensors: float32."""
        return self._frame(original_size).to_model(coords.to(torch.float32))

    def apply_boxes_torch(self, boxes: Tensor, original_size: tuple[int, ...]) -> Tensor:
        """As :meth:`apply_boxes`, for tensors: float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width after resizing; halves are rounded up.

        >>> ResizeLongestSide.get_preprocess_shape(1200, 1800, 1024)
        (683, 1024)
        """
        return Letterbox((oldh, oldw), long_side_length).resized_hw

    def _frame(self, original_size: tuple[int, ...]) -> Letterbox:
        height, width = original_size
        return Letterbox((height, width), self.target_length)
