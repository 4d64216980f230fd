"""A photo that an earlier run encoded, answered without torch: :func:`kept_predictor`.

The answers are those of :class:`ImagePredictor` but for rounding: a pixel whose logit is 0 to six digits may
fall on the other side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from everymask.errors import InputError, PromptError
from everymask.geometry import Frame, Letterbox, Squash
from everymask.image.answer import SAM2_LOGIT_LIMIT, Answer
from everymask.masks.bilinear import stretched
from everymask.models.without_torch import KeptDecoder, find_decoder, find_features
from everymask.nn.numpy_decoder import Features, arranged, chosen, decode
from everymask.prompts import read_prompts, refuse_without_data


class KeptPredictor:
    """Answers one prompt at a time on one photo, from points, a box and the logits of an earlier answer."""

    def __init__(
        self,
        decoder: KeptDecoder,
        features: Features,
        photo_hw: tuple[int, int],
        valid: np.ndarray | None = None,
    ) -> None:
        """``valid``, bool [H, W], is where the photo has data; None: everywhere."""
        self._decoder, self._features, self._photo_hw = decoder, features, photo_hw
        self._valid = valid
        layout = decoder.layout
        kind = Letterbox if layout.family == "sam" else Squash
        self._frame: Frame = kind(photo_hw, layout.image_size)
        self._logits_hw = (4 * features.embedding.shape[1], 4 * features.embedding.shape[2])

    @property
    def photo_sizes(self) -> list[tuple[int, int]]:
        """Height and width of the photo."""
        return [self._photo_hw]

    def alone(self, image: int | None = None) -> KeptPredictor:
        """The predictor itself: it has one photo, which never changes."""
        return self

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        multimask: bool = True,
    ) -> Answer:
        """As :meth:`ImagePredictor.predict` for one prompt; binary masks are not taken (PromptError)."""
        photo_hw, layout = self._photo_hw, self._decoder.layout
        prompts = read_prompts(photo_hw, self._logits_hw, points=points, labels=labels, box=box, mask=mask)
        if prompts.many or prompts.photo_masks is not None:
            raise PromptError("without torch one prompt is answered at a time, and no binary mask")
        if self._valid is not None:
            refuse_without_data(prompts, self._valid)
        corners = None if prompts.boxes_xyxy_px is None else prompts.boxes_xyxy_px.reshape(2, 2)
        tokens = arranged(
            layout.family,
            self._frame.to_model(prompts.points_xy_px[0]),
            prompts.labels[0],
            None if corners is None else self._frame.to_model(corners),
        )
        logits = None if prompts.mask_logits is None else prompts.mask_logits[0]
        decoded = decode(self._decoder.weights, layout, self._features, *tokens, logits)
        if not all(np.isfinite(values).all() for values in decoded):  # NaN would pass for an empty mask
            raise InputError("mask logits must be finite, got NaN or infinity; check the weights")
        masks, scores = chosen(*decoded, multimask, layout.fallback)
        above = np.stack([stretched(each, self._frame.stretches) > 0 for each in masks])
        limit = SAM2_LOGIT_LIMIT if layout.family == "sam2" else np.inf
        found = Answer(above, scores, np.clip(masks, -limit, limit))
        return found if self._valid is None else found.within(self._valid)


def kept_predictor(source: str, photo: np.ndarray, valid: np.ndarray | None = None) -> KeptPredictor | None:
    """A predictor for an RGB photo [H, W, 3], if the model called ``source`` encoded it in an earlier run.

    ``valid``, bool [H, W], is where it has data; None: everywhere.
    """
    decoder = find_decoder(source)
    features = None if decoder is None else find_features(decoder, photo)
    if decoder is None or features is None:
        return None
    height, width = photo.shape[:2]
    return KeptPredictor(decoder, features, (height, width), valid)
