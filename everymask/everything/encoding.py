"""Image features of crops, and the type of number that everything mode computes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.everything.renditions import Rendered
from everymask.models.base import PromptableModel
from everymask.nn.product_type import fast_dtype
from everymask.nn.records import ImageFeatures

CROPS_TOGETHER = 4
"""Crops that a GPU encodes at once. On a CPU more than one at a time costs memory and gains nothing."""


def crops_together(model: PromptableModel) -> int:
    """How many crops to encode at once on the model's device."""
    return 1 if model.device.type == "cpu" else CROPS_TOGETHER


def work_dtype(model: PromptableModel, options: GeneratorOptions) -> torch.dtype:
    """The type of the large products behind every mask that is handed out.

    On a CPU bfloat16 gains a fifth and moves masks across thresholds; so the fast effort takes it for what it
    only looks at (:func:`look_dtype`), and gives exact's masks. On a GPU it gains several times.
    """
    if options.effort == "bf16":
        return torch.bfloat16
    if options.effort == "fast" and model.device.type != "cpu":
        return look_dtype(model)
    return model.dtype


def look_dtype(model: PromptableModel) -> torch.dtype:
    """The type of the fast effort's coarse looks: the one that the machine is fastest in."""
    return fast_dtype(model.device) if model.dtype == torch.float32 else model.dtype


def encode_crops(
    model: PromptableModel,
    photo: np.ndarray,
    windows: Sequence[Crop],
    work: torch.dtype,
    together: int,
) -> Iterator[tuple[Crop, ImageFeatures]]:
    """Each crop of a photo (RGB uint8 [H, W, 3]) with its features, ``together`` of them at once.

    Crops of a rendition are cut from the photo in that rendition.
    """
    rendered = Rendered(photo)
    half = work == torch.bfloat16 and model.dtype == torch.float32
    for start in range(0, len(windows), together):
        part = windows[start : start + together]
        # A copy of each: PyTorch wants to be able to write.
        pixels = torch.stack([model.preprocess(np.array(rendered.crop(window))) for window in part])
        with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            features = model.encode_image(pixels)
        for index, window in enumerate(part):
            yield window, features[index]
