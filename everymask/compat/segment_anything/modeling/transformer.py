"""``segment_anything.modeling.transformer``: as SAM names the layers of the MLP, ``lin1`` and ``lin2``."""

from __future__ import annotations

from functools import partialmethod

from everymask.nn.attention import Attention
from everymask.nn.two_way import TwoWayBlock
from everymask.nn.two_way import TwoWayTransformer as OurTransformer

__all__ = ["Attention", "TwoWayAttentionBlock", "TwoWayTransformer"]


class TwoWayAttentionBlock(TwoWayBlock):
    """One round of attention in both directions."""

    __init__ = partialmethod(TwoWayBlock.__init__, mlp_block=True)  # type: ignore[assignment]


class TwoWayTransformer(OurTransformer):
    """Prompt tokens look at the image, the image looks back at the tokens."""

    __init__ = partialmethod(OurTransformer.__init__, mlp_block=True)  # type: ignore[assignment]
