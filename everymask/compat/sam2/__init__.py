"""The names of the package ``sam2``: here, and in the official modules of this folder."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .build_sam import (
    build_sam2,
    build_sam2_hf,
    build_sam2_video_predictor,
    build_sam2_video_predictor_hf,
)
from .config_files import hydra_is_used, initialise_hydra
from .sam2_image_predictor import SAM2ImagePredictor
from .sam2_video_predictor import SAM2VideoPredictor

if TYPE_CHECKING:
    from .automatic_mask_generator import SAM2AutomaticMaskGenerator

__all__ = [
    "SAM2AutomaticMaskGenerator",
    "SAM2ImagePredictor",
    "SAM2VideoPredictor",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]

if hydra_is_used():
    initialise_hydra()


def __getattr__(name: str) -> Any:
    """The generator is imported at its first use (PEP 562)."""
    if name != "SAM2AutomaticMaskGenerator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(".automatic_mask_generator", __name__), name)
