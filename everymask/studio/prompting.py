"""From the prompts of an object to its mask, through the library's ``ClickSession``.

A draft is a value, the session a history: for another draft it is taken back to what both have in common,
then told the rest. Undo therefore costs no run of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from everymask import ClickSession, ImagePredictor, Mask
from everymask.image.pointing import Pointing

from .document import Draft

DRAFT_SIDE = 1536
"""The longer side at which a draft is shown; accepted masks have the photo's size."""
HOVER_SIDE = 768

Said = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Reply:
    """What the model says to a draft: candidates in the order of the model, and which one is taken."""

    scores: np.ndarray  # float32 [K]
    masks: np.ndarray  # bool [K, h, w], no longer than DRAFT_SIDE
    chosen: int
    disobeyed: int
    """How many clicks the chosen mask does not obey, though the model was asked once more."""


class Prompting:
    """Answers drafts on one photo."""

    def __init__(self, predictor: ImagePredictor, valid: np.ndarray | None = None) -> None:
        """``valid``, bool [H, W], is where the photo has data: masks leave the other pixels out."""
        self.predictor, self._valid = predictor, valid
        self._shown_hw = fitted(predictor.photo_sizes[0], DRAFT_SIDE)
        self._seed: Mask | None = None
        self._session = self._fresh()
        self._said: list[tuple[Said, int]] = []  # what was said, and how many steps of the session it made

    def reply(self, draft: Draft, seed: Mask | None) -> Reply | None:
        """The candidates after the last step; None for a draft without steps.

        ``seed`` is the mask that the draft corrects.
        """
        if not draft.steps:
            return None
        self._tell(draft, seed)
        candidates = self._session.candidates
        assert candidates is not None, "something was said"
        disobeyed = len(self._session.disobeyed)
        return Reply(candidates.scores, self._on_data(candidates.masks), self._session.chosen, disobeyed)

    def chosen_mask(self, draft: Draft, seed: Mask | None) -> tuple[np.ndarray, float]:
        """The candidate that is taken, bool [H, W] of the photo, and its score."""
        self._tell(draft, seed)
        answer = self._session.of_size()
        return self._on_data(answer.masks)[0], float(answer.scores[0])

    def hover(self, xy: tuple[float, float], pointing: Pointing) -> tuple[np.ndarray, float]:
        """The best mask for a point, bool [h, w], and its score; nothing is remembered."""
        mask, score = pointing.best(xy, fitted(self.predictor.photo_sizes[0], HOVER_SIDE))
        return self._on_data(mask[None])[0], score

    def _on_data(self, masks: np.ndarray) -> np.ndarray:
        """Masks, bool [K, h, w] of any size, without the pixels that have no data."""
        if self._valid is None:
            return masks
        height, width = masks.shape[1:]
        shown = cv2.resize(self._valid.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        return masks & (shown > 0)

    def _tell(self, draft: Draft, seed: Mask | None) -> None:
        """Have the session stand where the draft does."""
        if seed is not self._seed:
            self._session, self._seed, self._said = self._fresh(), seed, []
            if seed is not None:
                self._session.start_from(seed.segmentation)
        wanted = list(_said(draft))
        shared = 0
        while shared < min(len(wanted), len(self._said)) and self._said[shared][0] == wanted[shared]:
            shared += 1
        while len(self._said) > shared:
            for _ in range(self._said[-1][1]):
                self._session.undo()
            self._said.pop()
        for said in wanted[shared:]:
            self._said.append((said, self._say(said)))

    def _say(self, said: Said) -> int:
        kind, *values = said
        session: ClickSession = self._session
        if kind == "point":
            session.click(*values)
        elif kind == "box":
            session.box(*values)
        else:
            (choice,) = values
            candidates = session.candidates
            if candidates is None or choice >= len(candidates.scores):
                return 0  # the answer has one candidate now, where it had three when it was chosen
            session.choose(choice)
        return 1

    def _fresh(self) -> ClickSession:
        return ClickSession(self.predictor, masks_hw=self._shown_hw)


def _said(draft: Draft) -> Iterator[Said]:
    """The steps of a draft, a choice among the answers as a step of its own."""
    for step in draft.steps:
        yield (step.kind, *step.xy, step.include) if step.kind == "point" else (step.kind, *step.xy)
        if step.choice is not None:
            yield "choose", step.choice


def fitted(photo_hw: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of a photo made no longer than ``side``.

    >>> fitted((1000, 2000), 500), fitted((10, 20), 500)
    ((250, 500), (10, 20))
    """
    scale = min(1.0, side / max(photo_hw))
    return max(1, round(photo_hw[0] * scale)), max(1, round(photo_hw[1] * scale))
