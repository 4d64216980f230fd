"""``sam2.modeling.sam.prompt_encoder``."""

from everymask.compat.parts import PositionEmbeddingRandom, PromptEncoder

__all__ = ["PositionEmbeddingRandom", "PromptEncoder"]
