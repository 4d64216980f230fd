"""``sam2.modeling.sam.prompt_encoder``."""

from everymask.compat.parts import PromptEncoder

__all__ = ["PromptEncoder"]
