"""``segment_anything_hq.modeling.prompt_encoder``: as SAM's."""

from everymask.compat.parts import PositionEmbeddingRandom, PromptEncoder

__all__ = ["PositionEmbeddingRandom", "PromptEncoder"]
