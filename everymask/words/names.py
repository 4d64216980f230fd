"""What ImageNet's 1,000 classes are kinds of: WordNet's hierarchy, from words to classes and back.

The table (``assets/names.txt.gz``) is made by ``tools/make_names.py``, which says what is in it; its licence
stands in NOTICE. WordNet (Miller 1995) is also what ImageNet's classes were chosen from.
"""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from everymask.errors import PromptError

TABLE = Path(__file__).resolve().parents[1] / "assets" / "names.txt.gz"
CLASSES = 1000
TOO_GENERAL = 250
"""A concept with more classes below it names nothing that one could see: "artifact", "instrumentality"."""
GENERAL_BUT_SEEN = ("animal", "person")
SAYS_NOTHING = frozenset(
    """agent|area|article|associate|attachment|attribute|barrier|causal agent|commodity|communication
    connection
    consumer goods|contestant|control|covering|creation|design|device|establishment|fluid|horizontal surface
    liquid|location|material|matter|mechanism|medium|nutriment|obstruction|part|participant|peer|piece|point
    product|produce|protective covering|relation|shape|signal|solid|structure|substance|support|surface|system
    work""".replace("\n    ", "|").split("|")
)
"""Concepts that are true of a thing and tell nothing of it."""
SURE = 0.5
ENDINGS = (("ies", "y"), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"))


@dataclass(frozen=True)
class Concept:
    """A kind of thing: its names, the line numbers of what it is a kind of, ImageNet's class if it is one."""

    names: tuple[str, ...]
    searched: tuple[str, ...]
    parents: tuple[int, ...]
    class_number: int | None
    spoken: bool
    """Whether people use the word: "dog", not "diapsid"."""


@dataclass(frozen=True)
class Meaning:
    """What a word stands for: numbers of ImageNet's classes, sorted."""

    word: str
    classes: tuple[int, ...]

    def share(self, probabilities: np.ndarray) -> np.ndarray:
        """How far probabilities [..., 1000] speak for the word, from 0 (no more than chance) to 1.

        Half of all classes are artifacts, so that a classifier that knows nothing is half sure of an
        "artifact": what chance gives is taken off.
        """
        chance = len(self.classes) / CLASSES
        said = probabilities[..., list(self.classes)].sum(-1)
        return np.clip((said - chance) / (1 - chance), 0, 1)


@dataclass(frozen=True)
class Names:
    """The hierarchy; ``concepts`` are in an order in which parents come before children."""

    concepts: tuple[Concept, ...]
    plurals: dict[str, str] = field(default_factory=dict)

    @cached_property
    def classes_below(self) -> list[frozenset[int]]:
        """For each concept, the classes that are of its kind."""
        below: list[set[int]] = [set() for _ in self.concepts]
        for number in range(len(self.concepts) - 1, -1, -1):
            concept = self.concepts[number]
            if concept.class_number is not None:
                below[number].add(concept.class_number)
            for parent in concept.parents:
                below[parent] |= below[number]
        return [frozenset(each) for each in below]

    @cached_property
    def concepts_of(self) -> dict[str, list[int]]:
        """By word, lower case, the concepts that it usually means."""
        found = defaultdict(list)
        for number, concept in enumerate(self.concepts):
            for name in concept.searched:
                found[name.lower()].append(number)
        for number, concept in enumerate(self.concepts):
            if not concept.searched and self.classes_below[number]:
                # "volcano": its usual sense is no kind of thing here, and it has no other name
                found[concept.names[0].lower()].append(number)
        return dict(found)

    @cached_property
    def _labels(self) -> list[str]:
        """What each concept is called in answers: a name that also finds it, if it has one."""
        labels = []
        for concept in self.concepts:
            first = concept.names[0]
            near = [name for name in concept.searched if first in name]  # "computer mouse" of a "mouse"
            labels.append((*near, *concept.searched, first)[0])
        return labels

    @cached_property
    def known_words(self) -> dict[str, None]:
        """The words with at least one class, in the table's order."""
        return {
            word: None
            for word, numbers in self.concepts_of.items()
            if any(self.classes_below[number] for number in numbers)
        }

    @cached_property
    def class_names(self) -> list[str]:
        """What each class is called."""
        names = [""] * CLASSES
        for number, concept in enumerate(self.concepts):
            if concept.class_number is not None:
                names[concept.class_number] = self._labels[number]
        return names

    @cached_property
    def labels(self) -> list[str]:
        """Every name that :meth:`name` can give, by the alphabet."""
        return sorted({self._labels[number] for number in self._telling})

    def meaning(self, word: str) -> Meaning:
        """The classes of a word, in singular or plural, of any case.

        Raises :class:`PromptError` that names the nearest words for one that no class is a kind of.
        """
        if not word.strip():
            raise PromptError("a word to look for must not be empty; give one such as dog")
        for form in self._forms(word):
            below = [self.classes_below[number] for number in self.concepts_of.get(form, ())]
            if classes := frozenset().union(*below):
                return Meaning(word, tuple(sorted(classes)))
        near = self.nearest(word)
        hint = f"the nearest it knows: {', '.join(near)}; " if near else ""
        raise PromptError(
            f"{word!r} is no kind of thing that the bundled classifier knows; {hint}"
            "a text detector knows more words (see docs/words.md)"
        )

    def nearest(self, word: str, count: int = 4) -> list[str]:
        """Known words near an unknown one: what it is a kind of, and that kind's classes; or spelt alike."""
        forms = self._forms(word)
        if forms[-1].rpartition(" ")[2] in self.known_words:  # "red car"
            return [forms[-1].rpartition(" ")[2]]
        other = self._other_senses(forms)
        for form in forms:
            for number in self.concepts_of.get(form, ()):
                if near := self._kin(number, count):
                    return [*other, *near][:count]
        return other or get_close_matches(forms[-1], list(self.known_words), n=count, cutoff=0.75)

    def _other_senses(self, forms: list[str]) -> list[str]:
        """Other names of what a word means more rarely: "computer mouse"."""
        return [
            concept.names[1]
            for number, concept in enumerate(self.concepts)
            if concept.names[0] in forms and len(concept.names) > 1 and self.classes_below[number]
        ]

    def _kin(self, number: int, count: int) -> list[str]:
        """The nearest concept above that has classes, then some of these."""
        to_do = list(self.concepts[number].parents)
        while to_do:
            parent = to_do.pop(0)
            below = self.classes_below[parent]
            if below and len(below) <= TOO_GENERAL:
                above = [self._labels[parent]] if self._is_telling(parent) else []
                return list(dict.fromkeys([*above, *(self.class_names[each] for each in sorted(below))]))[
                    :count
                ]
            if not below:
                to_do += self.concepts[parent].parents
        return []

    def _forms(self, word: str) -> list[str]:
        """A word as it is and as a singular, "sleeping dogs" by its last part.

        >>> Names(())._forms("Butterflies")
        ['butterflies', 'butterfly', 'butterflie']
        >>> Names(())._forms("the St. Bernard")
        ['st bernard']
        """
        said = " ".join(re.sub(r"[_.?!]", " ", word.lower()).split())
        text = re.sub(r"^(the|an?) (?=.)", "", said)
        head, _, last = text.rpartition(" ")
        before = f"{head} " if head else ""
        forms = [text]
        if last in self.plurals:
            forms.append(before + self.plurals[last])
        forms += [
            before + last.removesuffix(end) + single
            for end, single in ENDINGS
            if last.endswith(end) and last != end
        ]
        if last.endswith("s") and not last.endswith("ss") and len(last) > 2:
            forms.append(before + last[:-1])
        return list(dict.fromkeys(forms))

    @cached_property
    def _telling(self) -> list[int]:
        """The concepts that may name a mask, the most special first."""
        numbers = [number for number in range(len(self.concepts)) if self._is_telling(number)]
        return sorted(numbers, key=lambda number: (len(self.classes_below[number]), -number))

    def _is_telling(self, number: int) -> bool:
        concept, count = self.concepts[number], len(self.classes_below[number])
        small = count <= TOO_GENERAL or concept.names[0] in GENERAL_BUT_SEEN
        return count > 0 and concept.spoken and small and concept.names[0] not in SAYS_NOTHING

    @cached_property
    def _membership(self) -> np.ndarray:
        """Which classes each telling concept has, float32 [concepts, 1000]."""
        table = np.zeros((len(self._telling), CLASSES), np.float32)
        for row, number in enumerate(self._telling):
            table[row, list(self.classes_below[number])] = 1
        return table

    def name(
        self, probabilities: np.ndarray, alone: np.ndarray | None = None, sure: float = SURE
    ) -> tuple[str, float] | None:
        """The most special name of which probabilities [1000] are ``sure``, and how sure; None for none.

        Unsure of the breed, it is a "dog" (Deng et al. 2012, "Hedging your bets"). ``alone`` are those of a
        second view, of which a tenth of ``sure`` is asked.
        """
        chance = self._membership.mean(1)
        shares = (self._membership @ probabilities - chance) / (1 - chance)
        good = shares >= sure
        if alone is not None:
            good &= (self._membership @ alone - chance) / (1 - chance) >= sure / 10
        rows = np.flatnonzero(good)
        if not len(rows):
            return None
        return self._labels[self._telling[rows[0]]], float(min(shares[rows[0]], 1))


def read_names(path: Path = TABLE) -> Names:
    """The table in a file."""
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    end = lines.index("")
    concepts = []
    for line in lines[:end]:
        parents, class_number, names = line.split("\t")
        told = names.split("|")
        concepts.append(
            Concept(
                names=tuple(name.removeprefix("~") for name in told),
                searched=tuple(name for name in told if name[0] != "~"),
                parents=tuple(map(int, parents.split())),
                class_number=int(class_number) if class_number.isdigit() else None,
                spoken=class_number != "-",
            )
        )
    plurals = dict(line.split(" ") for line in lines[end + 1 :] if line)
    return Names(tuple(concepts), plurals)


@lru_cache(maxsize=1)
def names() -> Names:
    """The table of the package, read once."""
    return read_names()
