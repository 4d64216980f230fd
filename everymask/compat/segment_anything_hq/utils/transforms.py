"""``segment_anything_hq.utils.transforms``: as SAM's."""

from everymask.compat.segment_anything.utils.transforms import ResizeLongestSide

__all__ = ["ResizeLongestSide"]
