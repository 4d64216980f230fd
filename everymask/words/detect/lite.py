"""Text without a download: masks of everything mode, each named by an ImageNet classifier.

A mask answers to a word if the classes below the word in WordNet's hierarchy are likely together. Of masks
that share pixels (a dog, its head, the dog with its shadow) the best one stays, by how likely it is times how
well the model thinks it is outlined: a fragment of a thing is often as likely as the thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from everymask.errors import PromptError
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.masks.scores import rle_intersection
from everymask.maskset import Mask, MaskSet
from everymask.models.base import PromptableModel
from everymask.words.classify import LEAST_ALONE, bundled_classifier, classifier_of, probabilities
from everymask.words.detect.protocol import Detection
from everymask.words.names import Meaning, Names, names

SMALLEST = 0.002
"""Masks below this share of the photo have too few pixels to be named."""
LARGEST = 0.95
"""Masks above this share are the photo."""
TOLD = 20
"""Words named in an error, of a vocabulary with many unknown ones."""
SHARED = 0.5
"""Two masks are of one thing if this share of the smaller one's pixels belongs to both."""
RELATIVE = 0.5
"""A find counts if it is at least this good, as a share of the best one of its word in the photo: beside a
dog of 0.94 there were a bush of 0.44 and a corner of a fence of 0.42, on the first frame of a clip."""
WELL = 0.8
"""A mask of a lower predicted IoU counts for less: fragments are easily taken for something."""


class Lite:
    """Names the masks of everything mode."""

    name = "lite"
    threshold = 0.15
    highest: Sequence[float] = ()

    def __init__(
        self, model: PromptableModel, masks: MaskSet | None = None, options: dict[str, Any] | None = None
    ) -> None:
        """``masks`` of the photo where there are some already, else everything mode with ``options``, by
        default ``effort="fast"``."""
        self._model, self._masks, self._options = model, masks, {"effort": "fast", **(options or {})}

    def check(self, words: Sequence[str]) -> None:
        """Raises ``PromptError`` with the nearest known words for one that no class is a kind of."""
        check(words)

    def detect(self, photo: np.ndarray, words: Sequence[str], threshold: float) -> list[Detection]:
        """See :class:`everymask.words.detect.protocol.Detector`."""
        table = names()
        meanings = [table.meaning(word) for word in words]
        masks = self._masks
        if masks is None:
            masks = AutomaticMaskGenerator(self._model, **self._options).generate(photo)
        nameable = worth_naming(masks)
        shares = shares_of(meanings, *likelihoods(photo, nameable, self._model))
        counting = shares * np.array([well_outlined(mask) for mask in nameable])[:, None]
        self.highest = counting.max(0, initial=0.0).tolist()
        chosen = best_words(counting, meanings, threshold)
        found = [
            (float(shares[index, word]), word, nameable[index])
            for index, word in enumerate(chosen)
            if word >= 0
        ]
        kept = sure_enough(without_parts(found))
        return [Detection(word, score, extent_xyxy(mask), mask) for score, word, mask in kept]


def check(words: Sequence[str]) -> None:
    """Raise ``PromptError`` for words that no class is a kind of: all of them, of one the nearest known."""
    refused: dict[str, PromptError] = {}
    for word in words:
        try:
            names().meaning(word)
        except PromptError as error:
            refused[word] = error
    if len(refused) > 1:
        told = ", ".join(repr(word) for word in list(refused)[:TOLD])
        raise PromptError(
            f"{len(refused):,} of {len(words):,} words are no kinds of things that the bundled classifier "
            f"knows: {told}{', ...' if len(refused) > TOLD else ''}; leave them out, or use a text detector, "
            "which knows more words (see docs/words.md)"
        )
    for alone in refused.values():
        raise alone


def likelihoods(
    photo: np.ndarray, masks: Sequence[Mask], model: PromptableModel
) -> tuple[np.ndarray, np.ndarray]:
    """What each mask is taken for, in both views and alone: by the model's own classifier, or nano's."""
    network = classifier_of(model) or bundled_classifier(str(model.device))
    return probabilities(photo, masks, network)


def shares_of(meanings: Sequence[Meaning], together: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """How far each mask answers to each word, [K, words]; 0 where nothing of it shows in the mask alone."""
    shares = [
        np.where(meaning.share(alone) >= LEAST_ALONE, meaning.share(together), 0) for meaning in meanings
    ]
    return np.stack(shares, 1)


def worth_naming(masks: MaskSet) -> list[Mask]:
    """Those neither too small to be seen nor nearly the whole photo."""
    whole = masks.photo_hw[0] * masks.photo_hw[1]
    return [mask for mask in masks if SMALLEST * whole <= mask.area <= LARGEST * whole]


def best_words(shares: np.ndarray, meanings: Sequence[Meaning], threshold: float) -> list[int]:
    """Of each mask the one word that it answers best, -1 for none: shares [K, words].

    "dog" wins over "animal", whose share is never smaller: a word whose classes hold all those of another
    one that is likely enough, steps back.
    """
    chosen = []
    for row in shares:
        likely = [word for word in range(len(meanings)) if row[word] >= threshold]
        special = [
            word
            for word in likely
            if not any(set(meanings[other].classes) < set(meanings[word].classes) for other in likely)
        ]
        chosen.append(max(special, key=lambda word: row[word], default=-1))
    return chosen


def without_parts(found: Sequence[tuple[float, int, Mask]]) -> list[tuple[float, int, Mask]]:
    """Finds (score, word, mask) best first, without those of a thing that has a better one."""
    kept: list[tuple[float, int, Mask]] = []
    for each in sorted(found, key=lambda one: -_worth(one)):
        if not any(same_thing(each[2], other[2]) for other in kept):
            kept.append(each)
    return kept


def sure_enough(found: Sequence[tuple[float, int, Mask]]) -> list[tuple[float, int, Mask]]:
    """Finds (score, word, mask) best first, without those far worse than the first of their word."""
    best: dict[int, float] = {}
    for each in found:
        best.setdefault(each[1], _worth(each))
    return [each for each in found if _worth(each) >= RELATIVE * best[each[1]]]


def _worth(find: tuple[float, int, Mask]) -> float:
    """How likely a find is, as far as its mask is well outlined."""
    score, _, mask = find
    return score * well_outlined(mask)


def well_outlined(mask: Mask) -> float:
    """What of a likelihood counts, 0 to 1: all of it from a predicted IoU of WELL on, or without one."""
    return 1.0 if mask.predicted_iou is None else float(np.clip(mask.predicted_iou / WELL, 0, 1))


def same_thing(one: Mask, other: Mask) -> bool:
    """Whether two masks share more than half of the smaller one's pixels."""
    return rle_intersection(one.runs, other.runs) > SHARED * min(one.area, other.area)


def extent_xyxy(mask: Mask) -> tuple[float, float, float, float]:
    """A mask's box, maximum edges exclusive."""
    rows, columns = mask.extent
    return columns.start, rows.start, columns.stop, rows.stop


def named(photo: np.ndarray, masks: MaskSet, model: PromptableModel, table: Names | None = None) -> MaskSet:
    """The masks with labels where the classifier is sure of one: the most special name that is likely.

    Labels that masks have stay. ``attributes["name_score"]`` says how sure, 0 to 1.
    """
    table = table or names()
    rows = [index for index, mask in enumerate(masks) if mask.label is None]
    worth = {id(mask) for mask in worth_naming(masks)}
    rows = [index for index in rows if id(masks[index]) in worth]
    result = list(masks)
    likely = likelihoods(photo, [masks[index] for index in rows], model)
    for index, together, alone in zip(rows, *likely, strict=True):
        if (told := table.name(together, alone)) is not None:
            label, score = told
            attributes = {**masks[index].attributes, "name_score": round(score, 4)}
            result[index] = masks[index].replace(label=label, attributes=attributes)
    return MaskSet(result, masks.photo_hw, photo=masks.photo)
