"""The best mask for one point after the other on one photo, as it follows a pointer: :class:`Pointing`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from everymask.image.answer import resampled
from everymask.image.predictor import ImagePredictor, model_prompts
from everymask.masks.drawn import masks_above
from everymask.masks.upscaled import check_finite
from everymask.nn.choice import best_by_iou
from everymask.nn.records import PromptEmbeddings
from everymask.prompts import read_prompts, refuse_without_data

WORTH_PREPARING = 150_000
"""Values of an embedding from which what all points share is prepared. The plain decoder makes fewer calls:
with preparing, 64 x 64 cells of 256 channels take 0.45 of the time, 28 x 28 0.86, nano's of 128 channels
1.5."""


class Pointing:
    """Answers single points on the photo that a predictor has set, the best of the masks only.

    The mask is that of ``predictor.predict(points=[xy]).best()`` but for rounding: a pixel whose logit is 0
    to six digits may fall on the other side. What all points on a large embedding share is done once, which
    pays from the second one on: SAM 2.1 tiny then takes 0.45 of the time.
    """

    def __init__(self, predictor: ImagePredictor) -> None:
        """Raises SessionError unless ``predictor`` has one photo set; another one set later is not seen."""
        self._model = predictor.model
        self._photo = predictor.alone().photos[0]
        self._frame = self._model.frame(self._photo.photo_hw)
        is_large = self._photo.features.embedding.numel() >= WORTH_PREPARING
        with torch.no_grad():
            self._decoder = self._model.prepared(self._photo.features) if is_large else None

    @torch.no_grad()
    def best(self, xy: tuple[float, float], masks_hw: tuple[int, int]) -> tuple[np.ndarray, float]:
        """The mask for a point in pixels of the photo, bool [h, w] of size ``masks_hw``, and its score.

        Raises PromptError for a point outside of the photo or where it has no data.
        """
        photo, model = self._photo, self._model
        prompts = read_prompts(photo.photo_hw, model.logits_size, points=[xy])
        if photo.valid is not None:
            refuse_without_data(prompts, photo.valid)
        tokens = model.arrange(*model_prompts(prompts, self._frame, model.device))
        logits, score = self._decoded(model.encode_prompts(*tokens))
        check_finite(logits, "mask logits")
        mask = masks_above(logits[0], model.frame(masks_hw).stretches, model.mask_threshold)
        return mask if photo.valid is None else mask & resampled(photo.valid, masks_hw), score

    def _decoded(self, prompt: PromptEmbeddings) -> tuple[Tensor, float]:
        """Logits [1, h, w] of the best mask, and its score."""
        if self._decoder is None:
            found = self._model.choose(self._model.decode(self._photo.features, prompt), True)
            best = best_by_iou(found)
            return best.mask_logits[0], float(best.iou[0, 0])
        attended = self._decoder.attend(prompt.sparse)
        first = attended.iou[0, 1:]  # the three of an ambiguous prompt
        place = int(first.argmax())
        return self._decoder.masks(attended, 0, [1 + place]), float(first[place])
