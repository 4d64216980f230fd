"""``segment_anything_hq.modeling.common``: as SAM's."""

from everymask.nn.layers import LayerNorm2d, MLPBlock

__all__ = ["LayerNorm2d", "MLPBlock"]
