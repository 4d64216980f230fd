"""Words as what makes masks: a segmenter whose masks are those that words name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from everymask.errors import OptionError, first_few
from everymask.everything.protocol import Segmenter
from everymask.masks.rle import encode
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel
from everymask.words.detect.protocol import Detector, Exemplars, check_takes
from everymask.words.detect.table import check_words, detector_name, open_detector
from everymask.words.find import find


@dataclass(frozen=True)
class Sought:
    """What words look for, and how. Raises OptionError, PromptError for words the detector cannot know."""

    words: tuple[str, ...]
    detector: str
    """A name of ``words/detect/table.py``."""
    threshold: float | None = None
    at_most: int | None = None
    exemplars: Exemplars = field(default_factory=Exemplars)
    """Boxes in the one photo that is looked at."""

    @classmethod
    def checked(
        cls, words: list[str], detector: str | None, threshold: float | None, at_most: int | None
    ) -> Sought:
        """The words with the detector that was asked for, or the best one whose weights are here."""
        if at_most is not None and at_most < 1:
            raise OptionError(f"at_most must be at least 1, got {at_most}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise OptionError(f"threshold must be from 0 to 1, got {threshold:g}")
        name = detector_name(detector)
        check_words(name, words)
        return cls(tuple(words), name, threshold, at_most)

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those of everything mode, if it is what the detector chooses from."""
        return {"effort": "fast", **options} if self.detector == "lite" else dict(options)

    def by(self, segmenter: Segmenter, options: Mapping[str, Any]) -> FindingSegmenter:
        """What finds the words with a segmenter's model; ``options`` are those that it has."""
        own = options if self.detector == "lite" else {}
        return FindingSegmenter(segmenter, self, self.detector_for(segmenter.model, own))

    def detector_for(
        self, model: PromptableModel, options: Mapping[str, Any] = MappingProxyType({})
    ) -> Detector:
        """The detector, on the model's device; ``options`` are those of everything mode, for ``lite``."""
        detector = open_detector(self.detector, model, None, dict(options))
        check_takes(detector, self.exemplars)
        return detector

    def settings(self, detector: Any) -> dict[str, Any]:
        """What the masks depend on, by name and value."""
        chosen = {"threshold": self.threshold, "at_most": self.at_most, "detector": detector.name}
        boxes = {"like": self.exemplars.like, "unlike": self.exemplars.unlike} if self.exemplars else {}
        return {"words": list(self.words), **chosen, **boxes}


class FindingSegmenter:
    """A segmenter whose masks are those that words name."""

    def __init__(self, segmenter: Segmenter, sought: Sought, detector: Any) -> None:
        self.model, self.model_hash = segmenter.model, segmenter.model_hash
        self._sought, self._detector = sought, detector
        self.settings = {**segmenter.settings, **sought.settings(detector)}
        self._highest: dict[str, float] = {}
        """The best score of each word in any photo yet."""
        self._named: set[str] = set()

    def __call__(
        self, photo: np.ndarray, watch: Callable[[int, int], None], valid: np.ndarray | None = None
    ) -> MaskSet:
        """The masks of an RGB photo that answer to the words, within what has data."""
        found = find(
            photo,
            self._sought.words,
            self.model,
            detector=self._detector,
            threshold=self._sought.threshold,
            at_most=self._sought.at_most,
            like=self._sought.exemplars.like,
            unlike=self._sought.exemplars.unlike,
        )
        watch(1, 1)
        for word, score in zip(self._sought.words, getattr(self._detector, "highest", ()), strict=False):
            self._highest[word] = max(score, self._highest.get(word, 0.0))
        self._named |= {mask.label for mask in found if mask.label}
        return found if valid is None else within(found, valid)

    @property
    def unfound(self) -> str:
        """What to say of the words that no mask of the photos answers to; empty if there are none.

        How near each came to counting, and what to try; or that other words are answered better.
        """
        lowest = self._detector.threshold if self._sought.threshold is None else self._sought.threshold
        missing = sorted(
            ((score, word) for word, score in self._highest.items() if word not in self._named), reverse=True
        )
        better = [repr(word) for score, word in missing if score >= lowest]
        below = [f"{word!r} (best score {score:.2f})" for score, word in missing if score < lowest]
        lines = []
        if better:
            lines.append(f"what answers to {first_few(better)} answers to another of the words better")
        if below:
            more = ", or a text detector (see docs/words.md)" if self._sought.detector == "lite" else ""
            told = f"nothing found for {first_few(below)}; finds count from {lowest:g}"
            lines.append(f"{told}: try a lower --threshold, a wider word{more}")
        return "; ".join(lines)


def within(masks: MaskSet, valid: np.ndarray) -> MaskSet:
    """The masks without pixels that have no data."""
    cut = [mask.replace(rle=encode(mask.segmentation & valid)) for mask in masks]
    return MaskSet([mask for mask in cut if mask.area], masks.photo_hw, photo=masks.photo)
