"""``segment_anything_hq.modeling.transformer``: as SAM's."""

from everymask.compat.segment_anything.modeling.transformer import (
    Attention,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)

__all__ = ["Attention", "TwoWayAttentionBlock", "TwoWayTransformer"]
