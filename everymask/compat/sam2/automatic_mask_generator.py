"""``sam2.automatic_mask_generator``: see ``everymask/compat/generators.py``."""

from everymask.compat.generators import SAM2AutomaticMaskGenerator

__all__ = ["SAM2AutomaticMaskGenerator"]
