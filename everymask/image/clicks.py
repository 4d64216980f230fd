"""Clicks that correct: each one is asked together with all earlier ones and the answer so far.

    clicks = em.ClickSession(predictor)          # on the photo that is set
    clicks.click(300, 200)                       # on the object
    clicks.click(20, 30, include=False)          # not this
    clicks.mask                                  # bool [H, W]
    clicks.undo()

That is how the models were trained to be corrected. The same clicks in one call to
:meth:`ImagePredictor.predict` know nothing of an answer between them, and give worse masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from everymask.errors import OptionError, SessionError
from everymask.image.predictor import Answer, ImagePredictor
from everymask.prompts import BACKGROUND, FOREGROUND


@dataclass(frozen=True)
class Click:
    """A click on the photo."""

    x: float  # pixels, to the right
    y: float  # pixels, down
    include: bool = True
    """On the object, or on what is not the object."""

    def is_obeyed_by(self, mask: np.ndarray) -> bool:
        """Whether a mask, bool [H, W], has the clicked pixel where it belongs.

        >>> Click(1, 0, include=False).is_obeyed_by(np.array([[True, False]]))
        True
        """
        height, width = mask.shape
        # (0, 0) is the centre of the upper left pixel.
        row, column = min(int(self.y + 0.5), height - 1), min(int(self.x + 0.5), width - 1)
        return bool(mask[row, column]) == self.include


@dataclass(frozen=True)
class _Step:
    """All that was said up to a moment, and what the model made of it."""

    clicks: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    start: np.ndarray | None = None  # a mask to begin with: the photo's pixels, or logits
    answer: Answer | None = None  # all masks of the last answer
    chosen: int = 0  # of them


class ClickSession:
    """One object of one photo, corrected click by click; every step can be undone.

    The photo is the one that is set when the session begins: setting another one later changes nothing.
    """

    def __init__(self, predictor: ImagePredictor, *, image: int | None = None) -> None:
        """``image`` says which of the photos of :meth:`ImagePredictor.set_images`.

        Raises SessionError while no photo is set.
        """
        self._predictor = predictor.alone(image)
        self._steps: list[_Step] = [_Step()]

    # --- what is said -----------------------------------------------------------------------------

    def click(self, x: float, y: float, include: bool = True) -> Answer:
        """One click more, at (x, y) in pixels of the photo, on the object or (``include=False``) off it.

        The answer has one mask. Raises PromptError for a click outside of the photo; nothing changes then.
        """
        return self._take(clicks=(*self._now.clicks, Click(float(x), float(y), bool(include))))

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Answer:
        """A box around the object, XYXY in pixels, in place of an earlier one. Raises PromptError."""
        return self._take(box=(float(x0), float(y0), float(x1), float(y1)))

    def start_from(self, mask: Any) -> Answer:
        """Begin with a rough mask: bool [H, W] of the photo, or another answer's ``logits`` [h, w].

        Raises SessionError when something was said before, PromptError for a mask that does not fit.
        """
        if self._now.answer is not None:
            raise SessionError("a mask comes before all clicks and boxes; reset() first")
        return self._take(start=mask)

    def replay(self, clicks: Iterable[Click | Sequence[float]]) -> Answer:
        """Several clicks, one after the other; each a :class:`Click` or (x, y) or (x, y, label).

        All or none are taken: when one is wrong, PromptError is raised and nothing has changed.
        """
        before = list(self._steps)
        try:
            for one in clicks:
                each = one if isinstance(one, Click) else Click(one[0], one[1], *map(bool, one[2:3]))
                self.click(each.x, each.y, each.include)
        except Exception:
            self._steps = before
            raise
        if self.answer is None:
            raise OptionError("replay takes at least one click, got none")
        return self.answer

    def choose(self, index: int) -> Answer:
        """Take another one of the :attr:`candidates`; the next click corrects that one."""
        candidates = self.candidates
        count = 0 if candidates is None else len(candidates.scores)
        if not 0 <= index < count:
            raise OptionError(f"index must be one of the {count} candidates, from 0, got {index}")
        self._steps.append(replace(self._now, chosen=index))
        assert self.answer is not None, "where there are candidates there is an answer"
        return self.answer

    def undo(self) -> Answer | None:
        """Take back the last click, box, mask or choice; the answer before it, None at the beginning.

        Nothing is computed. Raises SessionError when there is nothing to take back.
        """
        if len(self._steps) == 1:
            raise SessionError("there is nothing to undo; click first")
        self._steps.pop()
        return self.answer

    def reset(self) -> None:
        """Forget everything but the photo."""
        del self._steps[1:]

    # --- what came of it --------------------------------------------------------------------------

    @property
    def answer(self) -> Answer | None:
        """The answer now, with one mask (K = 1); None before anything was said."""
        now = self._now
        return None if now.answer is None else _only(now.answer, now.chosen)

    @property
    def mask(self) -> np.ndarray:
        """The object now, bool [H, W]; empty before anything was said."""
        if self.answer is None:
            return np.zeros(self.photo_hw, bool)
        return self.answer.masks[0]

    @property
    def candidates(self) -> Answer | None:
        """All masks of the last answer: three after a first click, which may mean a part or the whole."""
        return self._now.answer

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far, in order."""
        return self._now.clicks

    @property
    def disobeyed(self) -> tuple[Click, ...]:
        """The clicks that the mask now does not obey: not in it though included, or the other way round."""
        if self._now.answer is None:
            return ()
        mask = self.mask
        return tuple(click for click in self.clicks if not click.is_obeyed_by(mask))

    @property
    def photo_hw(self) -> tuple[int, int]:
        """Height and width of the photo."""
        return self._predictor.photo_sizes[0]

    def __repr__(self) -> str:
        height, width = self.photo_hw
        said = [f"{len(self.clicks)} click{'' if len(self.clicks) == 1 else 's'}"]
        said += ["a box"] if self._now.box else []
        disobeyed = f", {len(self.disobeyed)} disobeyed" if self.disobeyed else ""
        score = "" if self.answer is None else f", score {self.answer.scores[0]:.3f}"
        return f"ClickSession({width} x {height} photo, {' and '.join(said)}{score}{disobeyed})"

    # --- asking -----------------------------------------------------------------------------------

    @property
    def _now(self) -> _Step:
        return self._steps[-1]

    def _take(self, **said: Any) -> Answer:
        """Ask with one thing more, and keep the step."""
        step = replace(self._now, **said)
        mask = step.start if self._now.answer is None else _only(self._now.answer, self._now.chosen).logits[0]
        is_ambiguous = len(step.clicks) == 1 and step.box is None and mask is None
        answer = self._ask(step, mask, is_ambiguous)
        self._steps.append(replace(step, answer=answer, chosen=_best(answer, step.clicks)))
        assert self.answer is not None
        return self.answer

    def _ask(self, step: _Step, mask: np.ndarray | None, multimask: bool) -> Answer:
        points = [(click.x, click.y) for click in step.clicks] or None
        labels = [FOREGROUND if click.include else BACKGROUND for click in step.clicks] or None
        return self._predictor.predict(points, labels, step.box, mask, multimask)


def _only(answer: Answer, index: int) -> Answer:
    some = slice(index, index + 1)
    wide = None if answer.photo_logits is None else answer.photo_logits[some]
    return Answer(answer.masks[some], answer.scores[some], answer.logits[some], wide)


def _best(answer: Answer, clicks: Sequence[Click]) -> int:
    """The mask that obeys most clicks; among those the one with the highest score."""
    obeyed = [sum(click.is_obeyed_by(mask) for click in clicks) for mask in answer.masks]
    return max(range(len(obeyed)), key=lambda index: (obeyed[index], answer.scores[index]))
