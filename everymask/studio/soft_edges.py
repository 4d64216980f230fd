"""How soft the edge of a mask is: a wish of the person who drew it, kept with the mask as an attribute.

Pixels of a mask are in or out, in every format; what is soft is the cut-out.
"""

from __future__ import annotations

from everymask import Mask

NAME = "feather_px"


def feathered(mask: Mask, px: float) -> Mask:
    """The mask with an edge that fades over ``px`` pixels; 0 takes the wish away.

    >>> mask = feathered(Mask.from_segmentation([[True]]), 3)
    >>> feather_of(mask), feather_of(feathered(mask, 0)), feather_of(feathered(mask, 0), 1.5)
    (3, 0, 1.5)
    """
    others = {name: value for name, value in (mask.attributes or {}).items() if name != NAME}
    return mask.replace(attributes={**others, **({NAME: px} if px else {})} or None)


def feather_of(mask: Mask, otherwise: float = 0) -> float:
    """Over how many pixels the mask's edge is to fade; ``otherwise`` where nobody said it."""
    px = (mask.attributes or {}).get(NAME)
    if isinstance(px, bool) or not isinstance(px, int | float):
        return otherwise  # a file may hold anything under this name
    return px if 0 < px <= 200 else otherwise
