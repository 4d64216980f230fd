"""The functions of ``utils.amg``, which both official packages have alike: what their automatic mask
generators are made of, and what programs that generate masks their own way import.

Boxes are XYXY in pixels with inclusive maximum edges, masks bool [B, H, W], run lengths uncompressed dicts.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.everything.grid import crops, point_grid
from everymask.masks import regions
from everymask.masks import rle as runs
from everymask.masks.nms import suppress

_KINDS = (list, np.ndarray, Tensor)


class MaskData:
    """Lists, arrays and tensors of one length under names, filtered and joined together."""

    def __init__(self, **kwargs: Any) -> None:
        self._stats: dict[str, Any] = {}
        for name, values in kwargs.items():
            self[name] = values

    def __setitem__(self, key: str, item: Any) -> None:
        assert isinstance(item, _KINDS), "MaskData only supports list, numpy arrays, and torch tensors."
        self._stats[key] = item

    def __delitem__(self, key: str) -> None:
        del self._stats[key]

    def __getitem__(self, key: str) -> Any:
        return self._stats[key]

    def items(self) -> ItemsView[str, Any]:
        return self._stats.items()

    def filter(self, keep: Tensor) -> None:
        """Keep what a mask of booleans marks, or what indices name, in their order."""
        chosen = keep.nonzero().flatten() if keep.dtype == torch.bool else keep
        for name, values in self._stats.items():
            if isinstance(values, Tensor):
                self._stats[name] = values[chosen.to(values.device)]
            elif isinstance(values, np.ndarray):
                self._stats[name] = values[chosen.detach().cpu().numpy()]
            else:
                self._stats[name] = [values[index] for index in chosen.tolist()]

    def cat(self, new_stats: MaskData) -> None:
        """Append another's values; the first to come set the names."""
        for name, values in new_stats.items():
            held = self._stats.get(name)
            if held is None:
                self._stats[name] = deepcopy(values)
            elif isinstance(values, Tensor):
                self._stats[name] = torch.cat([held, values])
            elif isinstance(values, np.ndarray):
                self._stats[name] = np.concatenate([held, values])
            else:
                self._stats[name] = held + deepcopy(values)

    def to_numpy(self) -> None:
        """Tensors become arrays; bfloat16, which numpy has not, float32."""
        for name, values in self._stats.items():
            if isinstance(values, Tensor):
                wide = values.float() if values.dtype == torch.bfloat16 else values
                self._stats[name] = wide.detach().cpu().numpy()


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: list[int], orig_box: list[int], atol: float = 20.0
) -> Tensor:
    """Which boxes [B, 4] of a crop touch an edge of it that is no edge of the photo, bool [B]."""
    crop, photo = (torch.tensor(box, dtype=torch.float, device=boxes.device) for box in (crop_box, orig_box))
    placed = uncrop_boxes_xyxy(boxes, crop_box).float()
    return (((placed - crop).abs() <= atol) & ((placed - photo).abs() > atol)).any(dim=1)


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """One box; width and height are the differences of the edges."""
    box = deepcopy(box_xyxy)
    box[2], box[3] = box[2] - box[0], box[3] - box[1]
    return box


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:
    """Pieces of ``batch_size`` of sequences of one length, side by side."""
    lengths = {len(values) for values in args}
    assert len(lengths) == 1, "Batched iteration must have inputs of all the same size."
    for start in range(0, lengths.pop(), batch_size):
        yield [values[start : start + batch_size] for values in args]


def mask_to_rle_pytorch(tensor: Tensor) -> list[dict[str, Any]]:
    """Masks [B, H, W] as uncompressed run lengths, column by column."""
    return [runs.to_uncompressed(runs.encode(mask)) for mask in tensor.detach().cpu().numpy().astype(bool)]


def rle_to_mask(rle: dict[str, Any]) -> np.ndarray:
    """The mask, bool [H, W], of uncompressed run lengths."""
    return runs.decode(runs.from_coco(rle))


def area_from_rle(rle: dict[str, Any]) -> int:
    """Pixels of the mask."""
    return sum(rle["counts"][1::2])


def coco_encode_rle(uncompressed_rle: dict[str, Any]) -> dict[str, Any]:
    """Uncompressed run lengths as COCO's string."""
    return runs.to_coco(runs.from_coco(uncompressed_rle))


def calculate_stability_score(masks: Tensor, mask_threshold: float, threshold_offset: float) -> Tensor:
    """Area above a higher threshold over area above a lower one, of logits [..., H, W]; NaN for 0 / 0."""
    higher, lower = (
        (masks > mask_threshold + offset).sum(-1, dtype=torch.int32).sum(-1, dtype=torch.int32)
        for offset in (threshold_offset, -threshold_offset)
    )
    return higher / lower


def build_point_grid(n_per_side: int) -> np.ndarray:
    """Centres of n x n cells as shares of the sides, [n * n, 2]."""
    return point_grid(n_per_side)


def build_all_layer_point_grids(n_per_side: int, n_layers: int, scale_per_layer: int) -> list[np.ndarray]:
    """A grid for the photo and for each crop layer, fewer points from layer to layer."""
    return [point_grid(max(1, int(n_per_side / scale_per_layer**layer))) for layer in range(n_layers + 1)]


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """Crop boxes XYXY (maximum edges exclusive), the whole photo first, and the layer of each."""
    found = crops((im_size[0], im_size[1]), n_layers, overlap_ratio)
    return [list(crop.xyxy) for crop in found], [crop.layer for crop in found]


def uncrop_boxes_xyxy(boxes: Tensor, crop_box: list[int]) -> Tensor:
    """Boxes [..., 4] of a crop in the frame of the photo."""
    x0, y0 = crop_box[:2]
    return boxes + torch.tensor([x0, y0, x0, y0], device=boxes.device)


def uncrop_points(points: Tensor, crop_box: list[int]) -> Tensor:
    """Points [..., 2] of a crop in the frame of the photo."""
    return points + torch.tensor(crop_box[:2], device=points.device)


def uncrop_masks(masks: Tensor, crop_box: list[int], orig_h: int, orig_w: int) -> Tensor:
    """Masks [B, h, w] of a crop with the rest of the photo around them, [B, H, W]."""
    x0, y0, x1, y1 = crop_box
    around = (x0, orig_w - x1, y0, orig_h - y1)
    return F.pad(masks, around, value=0) if any(around) else masks


def remove_small_regions(mask: np.ndarray, area_thresh: float, mode: str) -> tuple[np.ndarray, bool]:
    """A mask without "holes", or "islands", of fewer pixels than the threshold; and whether it changed."""
    assert mode in ("holes", "islands")
    clean: Callable[[np.ndarray, float], regions.Cleaned] = (
        regions.fill_small_holes if mode == "holes" else regions.drop_small_islands
    )
    cleaned = clean(mask, area_thresh)
    return cleaned.mask, cleaned.changed


def batched_mask_to_box(masks: Tensor) -> Tensor:
    """The box around each mask, [..., H, W] -> int64 [..., 4]; zeros around an empty one."""
    if masks.numel() == 0:
        return torch.zeros(*masks.shape[:-2], 4, device=masks.device)
    rows, columns = masks.any(dim=-1).int(), masks.any(dim=-2).int()  # [..., H], [..., W]
    first = [side.argmax(dim=-1) for side in (columns, rows)]  # the first of equals
    last = [side.shape[-1] - 1 - side.flip(-1).argmax(dim=-1) for side in (columns, rows)]
    boxes = torch.stack([*first, *last], dim=-1)
    return boxes * masks.flatten(-2).any(dim=-1)[..., None]


def box_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that suppression leaves, best first: ``torchvision``'s ``nms``."""
    kept = suppress(boxes.float().cpu().numpy(), scores.float().cpu().numpy(), iou_threshold)
    return torch.as_tensor(kept, dtype=torch.int64, device=boxes.device)
