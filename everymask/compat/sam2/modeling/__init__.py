"""``sam2.modeling``."""

from .sam2_base import SAM2Base

__all__ = ["SAM2Base"]
