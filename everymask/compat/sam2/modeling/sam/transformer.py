"""``sam2.modeling.sam.transformer``, without its rotary attention."""

from everymask.nn.attention import Attention
from everymask.nn.two_way import TwoWayBlock as TwoWayAttentionBlock
from everymask.nn.two_way import TwoWayTransformer

__all__ = ["Attention", "TwoWayAttentionBlock", "TwoWayTransformer"]
