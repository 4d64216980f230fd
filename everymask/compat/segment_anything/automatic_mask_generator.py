"""``segment_anything.automatic_mask_generator``: see ``everymask/compat/generators.py``."""

from everymask.compat.generators import SamAutomaticMaskGenerator

__all__ = ["SamAutomaticMaskGenerator"]
