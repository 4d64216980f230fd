"""Grounding DINO, MM Grounding DINO and LLMDet: all words in one text, each box scored on every token of it.

A box's score for a word is the highest of the word's own tokens, so that words never merge ("red block blue
block"), as they do where all tokens above a threshold are read off as one label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask.errors import PromptError
from everymask.words.detect.hosted import Hosted


class Grounding(Hosted):
    """One text, "dog. leash.", and a score a box and token."""

    threshold = 0.25

    def passes(self, words: Sequence[str]) -> list[list[int]]:
        """As many words at once as the model reads tokens."""
        most = self.model.config.max_text_len
        counts = [len(self.tokens(each)[0]) for each in words]
        result: list[list[int]] = [[]]
        for index, count in enumerate(counts):
            if count + 2 > most:
                raise PromptError(
                    f"{words[index][:40]!r}... is longer than the {most} tokens {self.name} reads"
                )
            full = self.words_per_pass is not None and len(result[-1]) >= self.words_per_pass
            if result[-1] and (full or 2 + count + sum(counts[each] for each in result[-1]) > most):
                result.append([])
            result[-1].append(index)
        return result

    def tokens(self, word: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The tokens of one word with the dot behind it, and where each lies in the text."""
        read = self.processor.tokenizer(
            f"{spoken(word)}.", add_special_tokens=False, return_offsets_mapping=True
        )
        return read["input_ids"], read["offset_mapping"]

    def prepare(self, photo: np.ndarray, words: Sequence[str]) -> tuple[Any, Any]:
        """The text of all words, and which tokens are whose."""
        text = " ".join(f"{spoken(word)}." for word in words)
        inputs = self.processor(images=photo, text=text, return_tensors="pt")
        places = self.processor.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        spans, start = [], 0
        for word in words:
            end = start + len(spoken(word))
            spans.append([n for n, (a, b) in enumerate(places) if start <= a < b <= end])
            start = end + 2  # the dot and the space
        for word, span in zip(words, spans, strict=True):
            if not span:
                raise PromptError(f"{word!r} has no token that {self.name} knows")

        def scored(scores: Tensor) -> Tensor:
            return torch.stack([scores[:, span].amax(1) for span in spans], 1)

        return inputs, scored


def spoken(word: str) -> str:
    """A word as the model was trained on it: lower case, without dots and question marks, which would end it.

    >>> spoken("St. Bernard")
    'st bernard'
    """
    return " ".join(re.sub(r"[.?]", " ", word.lower()).split())
