"""From the prompts of an object to its mask: each prompt with the answer to those before it fed back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from everymask import ImagePredictor, Mask
from everymask.image import Answer

from .document import Draft, Step

REMEMBERED = 256
"""Answers kept, so that undo, redo and another candidate cost no run of the model."""

NO_PIXELS = (1, 1)
"""``masks_hw`` where only scores and logits are wanted."""


@dataclass(frozen=True, eq=False)
class Reply:
    """What the model says to a draft: candidates in the order of the model, and which one is taken."""

    scores: np.ndarray  # float32 [K]
    logits: np.ndarray  # float32 [K, h, w]
    chosen: int

    @property
    def ambiguous(self) -> bool:
        """Whether there is more than one candidate."""
        return len(self.scores) > 1


class Prompting:
    """Answers drafts on one photo; remembers what it answered."""

    def __init__(self, predictor: ImagePredictor) -> None:
        self.predictor = predictor
        self._known: OrderedDict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def reply(self, draft: Draft, seed: Mask | None) -> Reply | None:
        """The candidates after the last step; None for a draft without steps.

        ``seed`` is the mask that the draft corrects.
        """
        reply = None
        for count in range(1, len(draft.steps) + 1):
            reply = self._after(draft.steps[:count], seed, reply)
        return reply

    def masks(self, draft: Draft, seed: Mask | None, masks_hw: tuple[int, int]) -> np.ndarray:
        """The candidates as pixels, bool [K, *masks_hw]."""
        reply = self.reply(draft, seed)
        if reply is None:
            return np.zeros((0, *masks_hw), bool)
        return self._upscaled(reply.logits, masks_hw)

    def chosen_mask(self, draft: Draft, seed: Mask | None) -> tuple[np.ndarray, float]:
        """The candidate that is taken, bool [H, W] of the photo, and its score.

        Asked for once more at the photo's size, so that it is exactly what ``predict`` gives.
        """
        reply = self.reply(draft, seed)
        assert reply is not None, "a draft without steps has no answer"
        before = self.reply(replace(draft, steps=draft.steps[:-1]), seed)
        answer = self._predict(draft.steps, seed, before, None)
        return answer.masks[reply.chosen], float(answer.scores[reply.chosen])

    def hover(self, xy: tuple[float, float], masks_hw: tuple[int, int]) -> tuple[np.ndarray, float]:
        """The best mask for a point, bool [*masks_hw], and its score; nothing is remembered."""
        answer = self.predictor.predict(points=[xy], labels=[1], masks_hw=NO_PIXELS)
        best = int(answer.scores.argmax())
        return self._upscaled(answer.logits[best : best + 1], masks_hw)[0], float(answer.scores[best])

    def _after(self, steps: tuple[Step, ...], seed: Mask | None, before: Reply | None) -> Reply:
        last = steps[-1]
        key = (id(seed) if seed is not None else None, *(_identity(step) for step in steps))
        if key not in self._known:
            answer = self._predict(steps, seed, before, NO_PIXELS)
            self._known[key] = answer.scores, answer.logits
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        scores, logits = self._known[key]
        fits = last.choice is not None and last.choice < len(scores)
        return Reply(
            scores, logits, last.choice if fits and last.choice is not None else int(scores.argmax())
        )

    def _predict(
        self,
        steps: tuple[Step, ...],
        seed: Mask | None,
        before: Reply | None,
        masks_hw: tuple[int, int] | None,
    ) -> Answer:
        if before is not None:
            mask = before.logits[before.chosen]
        else:
            mask = None if seed is None else seed.segmentation
        points = [step for step in steps if step.kind == "point"]
        boxes = [step.xy for step in steps if step.kind == "box"]
        return self.predictor.predict(
            points=[step.xy for step in points] or None,
            labels=[int(step.include) for step in points] or None,
            box=boxes[-1] if boxes else None,
            mask=mask,
            multimask=len(steps) == 1 and seed is None and not boxes,
            masks_hw=masks_hw,
        )

    def _upscaled(self, logits: np.ndarray, masks_hw: tuple[int, int]) -> np.ndarray:
        import torch

        model = self.predictor.model
        return (model.frame(masks_hw).upscale(torch.from_numpy(logits)) > model.mask_threshold).numpy()


def _identity(step: Step) -> tuple[object, ...]:
    return step.kind, step.xy, step.include, step.choice
