"""The official packages' own names, arguments and return types, in front of everymask.

Change the import and nothing else:

    from everymask.compat.segment_anything import sam_model_registry, SamPredictor
    from everymask.compat.sam2 import build_sam2, SAM2ImagePredictor

The official modules are there under their own paths too (``everymask.compat.sam2.build_sam``,
``everymask.compat.segment_anything.utils.transforms``, ...). Arguments are taken as the official code
takes them, without the checks of :class:`everymask.ImagePredictor`.
"""
