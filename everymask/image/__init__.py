"""One object of a photo, from points, a box or a mask: prompt by prompt, or click after click."""

from .clicks import Click, ClickSession
from .predictor import Answer, ImagePredictor, logits_of_masks, model_prompts

__all__ = ["Answer", "Click", "ClickSession", "ImagePredictor", "logits_of_masks", "model_prompts"]
