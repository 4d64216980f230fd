"""``sam2.modeling.sam2_utils``: small functions and layers, and the points that training asks with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.compat.sam2.utils.misc import mask_to_box
from everymask.errors import OptionError
from everymask.nn.layers import MLP as OurMLP
from everymask.nn.layers import DropPath, LayerNorm2d
from everymask.nn.position import sine_steps
from everymask.video.bank import closest_conditioning

__all__ = [
    "MLP",
    "DropPath",
    "LayerNorm2d",
    "get_1d_sine_pe",
    "get_activation_fn",
    "get_clones",
    "get_next_point",
    "mask_to_box",
    "sample_box_points",
    "sample_one_point_from_error_center",
    "sample_random_points_from_errors",
    "select_closest_cond_frames",
]

_Points = tuple[Tensor, Tensor]


class MLP(OurMLP):
    """Linear layers with an activation between them."""

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        output_dim: int,
        num_layers: int,
        activation: type[nn.Module] = nn.ReLU,
        sigmoid_output: bool = False,
    ) -> None:
        super().__init__(
            input_dim, hidden_dim, output_dim, num_layers, activation=activation, sigmoid=sigmoid_output
        )
        self.num_layers, self.sigmoid_output = num_layers, sigmoid_output


def select_closest_cond_frames(
    frame_idx: int, cond_frame_outputs: Mapping[int, Any], max_cond_frame_num: int
) -> tuple[Mapping[int, Any], dict[int, Any]]:
    """The conditioning frames that are looked at, at most so many (-1: all), and the others."""
    most = None if max_cond_frame_num == -1 else max_cond_frame_num
    if most is None or len(cond_frame_outputs) <= most:
        return cond_frame_outputs, {}
    if most < 2:
        raise OptionError(f"max_cond_frame_num must be at least 2, or -1 for all, got {most}")
    near = closest_conditioning(frame_idx, list(cond_frame_outputs), most)
    selected = {frame: cond_frame_outputs[frame] for frame in near}
    return selected, {frame: out for frame, out in cond_frame_outputs.items() if frame not in selected}


def get_1d_sine_pe(pos_inds: Tensor, dim: int, temperature: float = 10000) -> Tensor:
    """The sine code of places, [...] -> [..., dim]: sines, then cosines."""
    return sine_steps(pos_inds.flatten(), dim, temperature).unflatten(0, pos_inds.shape)


def get_activation_fn(activation: str) -> Callable[[Tensor], Tensor]:
    """The function of this name: relu, gelu or glu."""
    known: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "glu": F.glu}
    if activation not in known:
        raise OptionError(f"activation should be relu, gelu or glu, not {activation}")
    return known[activation]


def get_clones(module: nn.Module, N: int) -> nn.ModuleList:
    """So many copies of a module, each with weights of its own."""
    return nn.ModuleList(copy.deepcopy(module) for _ in range(N))


# --- points for training --------------------------------------------------------------------------


def sample_box_points(
    masks: Tensor,  # bool [B, 1, H, W]
    noise: float = 0.1,
    noise_bound: int = 20,
    top_left_label: int = 2,
    bottom_right_label: int = 3,
) -> _Points:
    """Corners of the masks' boxes [B, 2, 2], moved by up to ``noise`` of their sides and ``noise_bound``
    pixels, and their labels [B, 2]."""
    boxes, (count, _, height, width) = mask_to_box(masks), masks.shape
    device = masks.device
    if noise > 0.0:
        sides = torch.cat([boxes[..., 2:] - boxes[..., :2]] * 2, dim=-1)  # [B, 1, 4]
        bound = torch.as_tensor(noise_bound, device=device)
        shift = 2 * torch.rand(count, 1, 4, device=device) - 1
        last = torch.tensor([width, height, width, height], device=device) - 1
        moved = boxes + shift * torch.minimum(sides * noise, bound)
        boxes = moved.clamp(torch.zeros_like(last), last)
    labels = torch.tensor([top_left_label, bottom_right_label], dtype=torch.int, device=device)
    return boxes.reshape(-1, 2, 2), labels.repeat(count).reshape(-1, 2)


def _errors(gt_masks: Tensor, pred_masks: Tensor | None) -> tuple[Tensor, Tensor]:
    """What was missed and what is too much, bool [B, 1, H, W]; nothing predicted counts as empty."""
    found = torch.zeros_like(gt_masks) if pred_masks is None else pred_masks
    right = gt_masks.dtype == found.dtype == torch.bool and gt_masks.size(1) == 1
    if not right or found.shape != gt_masks.shape:
        raise OptionError(
            "gt_masks and pred_masks must be bool of one shape (B, 1, H, W), got "
            f"{gt_masks.dtype} {tuple(gt_masks.shape)} and {found.dtype} {tuple(found.shape)}"
        )
    return gt_masks & ~found, ~gt_masks & found


def sample_random_points_from_errors(gt_masks: Tensor, pred_masks: Tensor | None, num_pt: int = 1) -> _Points:
    """``num_pt`` random points a mask where it is wrong, [B, num_pt, 2], and labels: 1 where something was
    missed, 0 where it is too much; where all is right, a point of the background."""
    missed, too_much = _errors(gt_masks, pred_masks)
    count, _, height, width = gt_masks.shape
    all_right = ~(missed | too_much).flatten(1).any(1)[:, None, None, None]
    draw = torch.rand(count, num_pt, height, width, 2, device=gt_masks.device)
    draw[..., 0] *= too_much | (all_right & ~gt_masks)
    draw[..., 1] *= missed
    place = draw.flatten(2).argmax(dim=2)
    cell = place // 2
    points = torch.stack([cell % width, cell // width], dim=2).to(torch.float)
    return points, (place % 2).to(torch.int32)


def sample_one_point_from_error_center(
    gt_masks: Tensor, pred_masks: Tensor | None, padding: bool = True
) -> _Points:
    """The middle of the largest error of each mask, [B, 1, 2], and its label [B, 1]. ``padding`` makes the
    picture's edge an edge of the error."""
    missed, too_much = (each[:, 0].cpu().numpy() for each in _errors(gt_masks, pred_masks))
    points, labels = torch.zeros(len(missed), 1, 2), torch.ones(len(missed), 1, dtype=torch.int32)
    for row, pair in enumerate(zip(missed, too_much, strict=True)):
        inside, outside = (_depth(error, padding) for error in pair)
        positive = bool(inside.max() > outside.max())
        y, x = divmod(int((inside if positive else outside).argmax()), missed.shape[-1])
        points[row, 0] = torch.tensor([x, y], dtype=torch.float)
        labels[row, 0] = int(positive)
    return points.to(gt_masks.device), labels.to(gt_masks.device)


def _depth(error: np.ndarray, padding: bool) -> np.ndarray:
    """How far every pixel of an error lies from its edge."""
    import cv2

    if not padding:
        return cv2.distanceTransform(error.astype(np.uint8), cv2.DIST_L2, 0)
    return cv2.distanceTransform(np.pad(error, 1).astype(np.uint8), cv2.DIST_L2, 0)[1:-1, 1:-1]


def get_next_point(gt_masks: Tensor, pred_masks: Tensor | None, method: str) -> _Points:
    """A correcting point a mask, by one of the two ways above: "uniform" or "center"."""
    if method == "uniform":
        return sample_random_points_from_errors(gt_masks, pred_masks)
    if method == "center":
        return sample_one_point_from_error_center(gt_masks, pred_masks)
    raise OptionError(f"unknown sampling method {method}; expected uniform or center")
