"""``segment_anything.modeling.common``."""

from everymask.nn.layers import LayerNorm2d, MLPBlock

__all__ = ["LayerNorm2d", "MLPBlock"]
