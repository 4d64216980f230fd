"""The names of the package ``sam2``: here, and in the official modules of this folder."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .build_sam import build_sam2, build_sam2_hf
from .sam2_image_predictor import SAM2ImagePredictor

if TYPE_CHECKING:
    from .automatic_mask_generator import SAM2AutomaticMaskGenerator
    from .build_sam import build_sam2_video_predictor, build_sam2_video_predictor_hf
    from .sam2_video_predictor import SAM2VideoPredictor

_HOME_OF = {
    "SAM2AutomaticMaskGenerator": ".automatic_mask_generator",
    "SAM2VideoPredictor": ".sam2_video_predictor",
    "build_sam2_video_predictor": ".build_sam",
    "build_sam2_video_predictor_hf": ".build_sam",
}

__all__ = [
    "SAM2AutomaticMaskGenerator",
    "SAM2ImagePredictor",
    "SAM2VideoPredictor",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]


def __getattr__(name: str) -> Any:
    """Generator and video predictor are imported at their first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name], __name__), name)
