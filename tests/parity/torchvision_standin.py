"""The few torchvision functions that the official packages import, for machines without torchvision.

torchvision has no working CPU build where this project is developed. Each function here answers to
the torchvision one of its name for the inputs that ``segment_anything`` and ``sam2`` hand it, and to
nothing more. ``install()`` does nothing where the real package is present.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F


def install() -> None:
    """Put the stand-in into ``sys.modules``, unless torchvision is there already."""
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return
    contents: dict[str, dict[str, object]] = {
        "torchvision": {},
        "torchvision.ops": {"nms": nms, "batched_nms": batched_nms, "box_area": box_area},
        "torchvision.ops.boxes": {"nms": nms, "batched_nms": batched_nms, "box_area": box_area},
        "torchvision.transforms": {"Normalize": Normalize, "Resize": Resize, "ToTensor": ToTensor},
        "torchvision.transforms.functional": {"resize": resize, "to_pil_image": to_pil_image},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__dict__.update(members, __path__=[])
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


@contextmanager
def hidden() -> Iterator[None]:
    """No torchvision for a while: ``transformers`` looks for one and stumbles over the stand-in."""
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torchvision"}
    for name in modules:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(modules)


# --- torchvision.ops.boxes ------------------------------------------------------------------------


def box_area(boxes: Tensor) -> Tensor:  # [N, 4] XYXY -> [N]
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes kept, best score first; a box goes when its IoU with a kept one is above."""
    order = scores.sort(stable=True, descending=True).indices
    areas, alive, kept = box_area(boxes), torch.ones(len(boxes), dtype=torch.bool), []
    for index in order.tolist():
        if not alive[index]:
            continue
        kept.append(index)
        low = torch.maximum(boxes[index, :2], boxes[:, :2])
        high = torch.minimum(boxes[index, 2:], boxes[:, 2:])
        overlap = (high - low).clamp(min=0).prod(dim=1)
        iou = overlap / (areas[index] + areas - overlap)
        alive &= ~(iou.double() > iou_threshold)  # the C++ compares in double; NaN suppresses nothing
    return torch.tensor(kept, dtype=torch.int64)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """NMS within each class: by shifting the classes apart, or one by one where there are many boxes."""
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64)
    if boxes.numel() <= 4000:
        shift = idxs.to(boxes) * (boxes.max() + 1)
        return nms(boxes + shift[:, None], scores, iou_threshold)
    keep = torch.zeros(len(boxes), dtype=torch.bool)
    for value in torch.unique(idxs):
        members = torch.where(idxs == value)[0]
        keep[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    kept = torch.where(keep)[0]
    return kept[scores[kept].sort(descending=True).indices]


# --- torchvision.transforms -----------------------------------------------------------------------


class ToTensor:
    """RGB uint8 [H, W, 3] array or PIL picture -> float32 [3, H, W] of 0 to 1; floats are not scaled."""

    def __call__(self, picture: np.ndarray | Image.Image) -> Tensor:
        array = np.asarray(picture)
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        return tensor.float() / 255 if array.dtype == np.uint8 else tensor


class Resize(nn.Module):
    """[..., H, W] -> [..., h, w], bilinear with antialiasing (the default)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = size

    def forward(self, x: Tensor) -> Tensor:
        size = [self.height, self.width]
        if x.shape[-2] == self.height and x.shape[-1] == self.width:
            return x
        return F.interpolate(x[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


class Normalize(nn.Module):
    """(x - mean) / std per channel."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.tensor(self.mean, dtype=x.dtype, device=x.device).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device).view(-1, 1, 1)
        return (x - mean) / std


def to_pil_image(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array)


def resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A PIL picture at (height, width), bilinear."""
    height, width = size
    return picture.resize((width, height), Image.Resampling.BILINEAR)
