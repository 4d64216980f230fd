"""``sam2.utils.transforms``: photos, prompts and masks between a photo's pixels and the model's."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from everymask.errors import PictureError
from everymask.geometry import Squash
from everymask.masks.regions import fill_small_holes
from everymask.models.sam2 import PIXEL_MEAN, PIXEL_STD


class SAM2Transforms:
    """As the official class of this name.

    ``max_hole_area`` and ``max_sprinkle_area`` (pixels of the low-resolution logits) work on every device;
    the official code needs a CUDA extension for them and leaves them out without one.
    """

    def __init__(
        self,
        resolution: int,
        mask_threshold: float,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ) -> None:
        self.resolution = resolution
        self.mask_threshold = mask_threshold
        self.max_hole_area, self.max_sprinkle_area = max_hole_area, max_sprinkle_area

    def __call__(self, x: np.ndarray | Image) -> Tensor:
        """RGB array [H, W, 3] (uint8, or floats of 0 to 1) or PIL image -> normalised float32 [3, S, S]."""
        photo = _rgb(x)
        pixels = Squash(photo.shape[:2], self.resolution).resize(photo)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
        return (pixels - mean) / std

    def forward_batch(self, img_list: list[np.ndarray]) -> Tensor:
        """Several images -> [B, 3, S, S]."""
        return torch.stack([self(image) for image in img_list])

    def transform_coords(
        self, coords: Tensor, normalize: bool = False, orig_hw: tuple[int, ...] | None = None
    ) -> Tensor:
        """Points [..., 2], of 0 to 1, or with ``normalize`` in pixels of a photo (H, W) -> model pixels."""
        height, width = orig_hw if normalize and orig_hw is not None else (1, 1)
        return Squash((height, width), self.resolution).to_model(coords)

    def transform_boxes(
        self, boxes: Tensor, normalize: bool = False, orig_hw: tuple[int, ...] | None = None
    ) -> Tensor:
        """Boxes [B, 4], or one of [4], as their corners [B, 2, 2] in model pixels."""
        return self.transform_coords(boxes.reshape(-1, 2, 2), normalize, orig_hw)

    def postprocess_masks(self, masks: Tensor, orig_hw: tuple[int, ...]) -> Tensor:
        """Logits [B, C, h, w] -> [B, C, H, W] float32, small holes filled and sprinkles removed before."""
        height, width = orig_hw
        return Squash((height, width), self.resolution).upscale(self.clean(masks.float()))

    def clean(self, logits: Tensor) -> Tensor:
        """Logits [B, C, h, w] with small holes raised and small islands lowered beyond the threshold."""
        if self.max_hole_area <= 0 and self.max_sprinkle_area <= 0:
            return logits
        planes = [self._clean_plane(plane) for plane in logits.detach().flatten(0, 1).cpu().numpy()]
        return torch.from_numpy(np.stack(planes)).to(logits).reshape(logits.shape)

    def _clean_plane(self, logits: np.ndarray) -> np.ndarray:
        """Components of at most the area go; both kinds are looked for in the logits as they came."""
        inside = logits > self.mask_threshold
        cleaned = logits.copy()
        if self.max_hole_area > 0:
            cleaned[_small_components(~inside, self.max_hole_area)] = self.mask_threshold + 10.0
        if self.max_sprinkle_area > 0:
            cleaned[_small_components(inside, self.max_sprinkle_area)] = self.mask_threshold - 10.0
        return cleaned


def _small_components(mask: np.ndarray, max_area_px: float) -> np.ndarray:
    """Where ``mask`` has 8-connected components of at most ``max_area_px`` pixels."""
    fewer_than = math.floor(max_area_px) + 1
    return fill_small_holes(~mask, fewer_than).mask & mask


def _rgb(image: np.ndarray | Image) -> np.ndarray:
    """An RGB image as an array of 0 to 255, uint8 or float32."""
    if not isinstance(image, (np.ndarray, Image)):
        raise PictureError(f"image must be an RGB array or a PIL image, got {type(image).__name__}")
    array = np.array(image) if isinstance(image, Image) else image
    if array.ndim != 3 or array.shape[2] != 3:
        raise PictureError(
            f"image must be RGB of shape (H, W, 3), got {array.shape}; "
            "everymask.read_photo makes one of any picture"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise PictureError(f"image must hold uint8, or floats of 0 to 1, got {array.dtype}")
    return array.astype(np.float32) * 255
