"""The names of the package ``segment_anything_hq`` (HQ-SAM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everymask.compat.segment_anything import sam_model_registry as sam_model_registry_baseline

from .build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from .predictor import SamPredictor

if TYPE_CHECKING:
    from .automatic_mask_generator import SamAutomaticMaskGenerator

__all__ = [
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
    "sam_model_registry_baseline",
]


def __getattr__(name: str) -> Any:
    """The generator is imported at its first use (PEP 562): most programs need only the predictor."""
    if name == "SamAutomaticMaskGenerator":
        from .automatic_mask_generator import SamAutomaticMaskGenerator

        return SamAutomaticMaskGenerator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
