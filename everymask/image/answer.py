"""What a model answers to a prompt: masks, its estimate of each, and the logits to feed back.

Letters used in shapes: P prompts, K masks of a prompt (3, or 1), H x W the photo, h x w low-resolution masks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from everymask.maskset import Mask, MaskSet

SAM2_LOGIT_LIMIT = 32.0
"""SAM 2 hands low-resolution logits back clamped to this, after the masks are made of them."""


def resampled(valid: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Where a photo has data, bool [H, W], at another size: the nearest pixels.

    >>> resampled(np.array([[True, False]]), (1, 4)).tolist()
    [[True, True, False, False]]
    """
    if valid.shape == hw:
        return valid
    rows, columns = (
        np.minimum((np.arange(count) + 0.5) * length / count, length - 1).astype(int)
        for length, count in zip(valid.shape, hw, strict=True)
    )
    return valid[rows][:, columns]


@dataclass(frozen=True, eq=False)
class Answer:
    """The masks of one prompt, or with a leading axis P of many."""

    masks: np.ndarray  # bool [K, H, W] or [P, K, H, W]
    scores: np.ndarray  # float32 [K] or [P, K]: the model's own estimate of each mask's IoU
    logits: np.ndarray  # float32 [K, h, w] or [P, K, h, w]; feed one back as mask=
    photo_logits: np.ndarray | None = None
    """float32, shaped like ``masks``, if asked for by ``return_logits``; masks are ``photo_logits > 0``."""

    def best(self) -> Answer:
        """Of each prompt the mask with the highest score, K = 1."""
        index = self.scores.argmax(axis=-1)[..., None]

        def pick(values: np.ndarray) -> np.ndarray:
            extra = values.ndim - index.ndim
            return np.take_along_axis(values, index.reshape(index.shape + (1,) * extra), axis=index.ndim - 1)

        wide = None if self.photo_logits is None else pick(self.photo_logits)
        return Answer(pick(self.masks), pick(self.scores), pick(self.logits), wide)

    def within(self, valid: np.ndarray) -> Answer:
        """The same without pixels that have no data; ``valid`` bool [H, W]."""
        wide = self.photo_logits
        if wide is not None:
            wide = np.where(valid, wide, np.minimum(wide, -1.0)).astype(np.float32)
        return replace(self, masks=self.masks & valid, photo_logits=wide)

    def to_mask_set(self) -> MaskSet:
        """All masks with their scores, prompt after prompt, to be saved, drawn or filtered."""
        height, width = self.masks.shape[-2:]
        scored = zip(self.masks.reshape(-1, height, width), self.scores.ravel().tolist(), strict=True)
        masks = (Mask.from_segmentation(mask, predicted_iou=score) for mask, score in scored)
        return MaskSet(masks, (height, width))

    def _repr_html_(self) -> str:
        """The masks side by side with their scores, for a notebook; of many prompts the best of each."""
        from everymask.media import html

        if self.scores.ndim == 1:
            return html.of_candidates(list(self.masks), self.scores.tolist(), "Answer")
        return html.of_masks(self.best().to_mask_set())

    def __repr__(self) -> str:
        *prompts, count = self.scores.shape
        height, width = self.masks.shape[-2:]
        whose = f" for each of {prompts[0]} prompts" if prompts else ""
        scores = "" if prompts else ", scores " + " ".join(f"{score:.3f}" for score in self.scores)
        masks = "1 mask" if count == 1 else f"{count} masks"
        return f"Answer({masks}{whose} of a {width} x {height} photo{scores})"
