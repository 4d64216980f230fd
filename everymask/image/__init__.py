"""One object of a photo, from points, a box or a mask: prompt by prompt, or click after click.

Names are imported when they are first used: clicks on a photo that was encoded before need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import Answer
    from .clicks import Click, ClickSession
    from .predictor import ImagePredictor, logits_of_masks, model_prompts

__all__ = ["Answer", "Click", "ClickSession", "ImagePredictor", "logits_of_masks", "model_prompts"]

_HOME_OF = {"Answer": "answer", "Click": "clicks", "ClickSession": "clicks"}


def __getattr__(name: str) -> Any:
    """Import a name at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF.get(name, 'predictor')}"), name)
