"""``sam2.utils.misc``: frames of clips, boxes and components of masks, points put together."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from everymask.compat.sam2.utils.lazy_frames import LazyFrames
from everymask.errors import OptionError
from everymask.models.base import standardised
from everymask.models.sam2 import PIXEL_MEAN, PIXEL_STD
from everymask.video.frames import frame_pixels
from everymask.video.holes import fill_holes

__all__ = [
    "AsyncVideoFrameLoader",
    "concat_points",
    "fill_holes_in_mask_scores",
    "get_connected_components",
    "get_sdpa_settings",
    "load_video_frames",
    "load_video_frames_from_jpg_images",
    "load_video_frames_from_video_file",
    "mask_to_box",
]

AsyncVideoFrameLoader = LazyFrames


def get_sdpa_settings() -> tuple[bool, bool, bool]:
    """Whether the GPU is an old one, may use Flash attention, and needs the plain kernels."""
    major = torch.cuda.get_device_properties(0).major if torch.cuda.is_available() else 0
    return major < 7, major >= 8, major < 8


def get_connected_components(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The 8-connected components of masks [N, 1, H, W]: their numbers, and the area of the component that
    each pixel is in, both int32 and 0 outside. (On any device; officially this is a CUDA extension.)"""
    import cv2

    labels, areas = [], []
    for plane in mask[:, 0].to(torch.uint8).cpu().numpy():
        _, found, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
        stats[0, cv2.CC_STAT_AREA] = 0
        labels.append(found)
        areas.append(stats[:, cv2.CC_STAT_AREA][found])
    found_all, area_all = (torch.from_numpy(np.stack(each)).to(mask.device) for each in (labels, areas))
    return found_all[:, None].int(), area_all[:, None].int()


def mask_to_box(masks: Tensor) -> Tensor:
    """The boxes XYXY of masks bool [B, 1, H, W], edges included, int32 [B, 1, 4]."""
    height, width = masks.shape[-2:]
    columns, rows = masks.any(-2), masks.any(-1)  # [B, 1, W], [B, 1, H]
    x = torch.arange(width, device=masks.device, dtype=torch.int32)
    y = torch.arange(height, device=masks.device, dtype=torch.int32)
    left, top = torch.where(columns, x, width).amin(-1), torch.where(rows, y, height).amin(-1)
    right, bottom = torch.where(columns, x, -1).amax(-1), torch.where(rows, y, -1).amax(-1)
    return torch.stack((left, top, right, bottom), dim=-1)


def _load_img_as_tensor(img_path: Any, image_size: int) -> tuple[Tensor, int, int]:
    """A picture squeezed to [3, S, S], values 0 to 1, and its height and width."""
    with Image.open(img_path) as picture:
        width, height = picture.size
        return frame_pixels(np.asarray(picture.convert("RGB")), image_size), height, width


def load_video_frames(
    video_path: Any,
    image_size: int,
    offload_video_to_cpu: bool,
    img_mean: tuple[float, ...] = PIXEL_MEAN,
    img_std: tuple[float, ...] = PIXEL_STD,
    async_loading_frames: bool = False,
    compute_device: torch.device | str = "cpu",
) -> tuple[LazyFrames, int, int]:
    """The frames of a clip, and their height and width.

    They are read when they are asked for, as officially with ``async_loading_frames``. Besides MP4 files and
    folders of JPEG any clip is taken that :meth:`everymask.VideoTracker.open` takes.
    """
    device = torch.device("cpu" if offload_video_to_cpu else compute_device)
    frames = LazyFrames.of(
        os.fspath(video_path) if isinstance(video_path, os.PathLike) else video_path,
        image_size,
        lambda pixels: standardised(pixels.to(device), img_mean, img_std),
    )
    if frames.source.length is None:
        raise OptionError("the official predictor knows the clip's length; use VideoTracker for streams")
    height, width = frames.source.frame_hw
    return frames, height, width


load_video_frames_from_jpg_images = load_video_frames
load_video_frames_from_video_file = load_video_frames


def fill_holes_in_mask_scores(mask: Tensor, max_area: int) -> Tensor:
    """Mask logits with holes of at most ``max_area`` pixels raised to 0.1, on any device."""
    if max_area <= 0:
        raise OptionError(f"max_area must be positive, got {max_area}")
    return fill_holes(mask, max_area)


def concat_points(
    old_point_inputs: dict[str, Tensor] | None, new_points: Tensor, new_labels: Tensor
) -> dict[str, Tensor]:
    """Points and labels behind those there were."""
    if old_point_inputs is not None:
        new_points = torch.cat([old_point_inputs["point_coords"], new_points], dim=1)
        new_labels = torch.cat([old_point_inputs["point_labels"], new_labels], dim=1)
    return {"point_coords": new_points, "point_labels": new_labels}
