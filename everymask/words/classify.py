"""What ImageNet would call what is in each mask: nano's pretrained network, which carries its classifier.

Letters: K masks, 1000 classes, S the side of a picture that the network sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch

from everymask.errors import CheckpointError
from everymask.maskset import Mask
from everymask.models.base import PromptableModel
from everymask.models.load import load
from everymask.nn.encoders.efficientnet_lite import EfficientNetLite

SIDE = 224
AROUND, ALONE = 0, 1
VIEWS = ((0.05, 1.0), (0.1, 0.0))
"""How a mask is looked at: the margin around it (a share of its longer side), and how much of what is around
it shows, the rest being grey. With its surroundings a thing is recognised most often (27 of 44 photos), but a
hole in the background and a part of the thing are taken for it too; alone, right masks are found (IoU 0.77
instead of 0.27). The mean of both views' logits is right most often (docs/lab-notes.md)."""
LEAST_ALONE = 0.05
"""What a mask must show of a thing by itself, however sure its surroundings are."""
AT_ONCE = 8


def classifier_of(model: PromptableModel) -> EfficientNetLite | None:
    """The classifier in a model's trunk, or None where there is none."""
    trunk = getattr(getattr(model, "image_encoder", None), "trunk", None)
    network = getattr(trunk, "pretrained", None)
    has_head = isinstance(network, EfficientNetLite) and network.spec.classes == 1000
    return network if has_head else None


@lru_cache(maxsize=1)
def bundled_classifier(device: str = "cpu") -> EfficientNetLite:
    """The classifier that comes with nano."""
    network = classifier_of(load("nano", device=device))
    if network is None:
        raise CheckpointError("the bundled nano has no classifier; reinstall everymask")
    return network


@torch.inference_mode()
def probabilities(
    photo: np.ndarray, masks: Sequence[Mask], network: EfficientNetLite
) -> tuple[np.ndarray, np.ndarray]:
    """What each mask of an RGB photo [H, W, 3] is taken for, in both views together and alone.

    Two arrays float32 [K, 1000]; rows sum to 1.
    """
    weights = network.classifier.weight
    together = [np.zeros((0, network.spec.classes), np.float32)]
    alone = [*together]
    for start in range(0, len(masks), AT_ONCE):
        some = masks[start : start + AT_ONCE]
        seen = np.stack([picture_of(photo, mask, *view) for view in VIEWS for mask in some])
        pixels = torch.from_numpy(seen).permute(0, 3, 1, 2).to(weights.device, weights.dtype)
        logits = network.classify(pixels.contiguous(memory_format=torch.channels_last)).float()
        views = logits.view(len(VIEWS), len(some), -1)
        together.append(torch.softmax(views.mean(0), 1).cpu().numpy())
        alone.append(torch.softmax(views[ALONE], 1).cpu().numpy())
    return np.concatenate(together), np.concatenate(alone)


def picture_of(photo: np.ndarray, mask: Mask, margin: float, background: float) -> np.ndarray:
    """A mask's square surroundings, what is not the mask more or less grey: float32 [S, S, 3], 0 to 1."""
    rows, columns = mask.extent
    side = max(rows.stop - rows.start, columns.stop - columns.start, 1) * (1 + 2 * margin)
    scale = SIDE / side
    centre = (columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2
    move = np.array([[scale, 0, SIDE / 2 - centre[0] * scale], [0, scale, SIDE / 2 - centre[1] * scale]])
    seen = warped(photo, move, (127, 127, 127)) / 255
    inside = warped(mask.segmentation.astype(np.uint8) * 255, move, 0)[..., None] / 255
    shown = inside + (1 - inside) * background
    return shown * seen + (1 - shown) * 0.5


def warped(pixels: np.ndarray, move: np.ndarray, border: int | tuple[int, ...]) -> np.ndarray:
    """Pixels moved into a square of the network's size, float32, shrunk by areas."""
    scale = move[0, 0]
    if scale < 1:  # warpAffine has no area mean: shrink first
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        fx, fy = small.shape[1] / pixels.shape[1], small.shape[0] / pixels.shape[0]
        pixels, move = small, move @ np.diag([1 / fx, 1 / fy, 1])
    return cv2.warpAffine(
        pixels, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    ).astype(np.float32)
