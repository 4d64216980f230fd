"""Words become ImageNet's classes by WordNet's hierarchy, and likely classes become names."""

import numpy as np
import pytest

from everymask.errors import PromptError
from everymask.words.names import Concept, Names, names

ANIMAL, DOG, PUG, LAB, TOOL, HAMMER = range(6)


def small() -> Names:
    """animal > dog > pug, lab; tool > hammer; and a puppy, a kind of dog that is no class."""
    return Names(
        (
            Concept(("animal",), ("animal",), (), None, True),
            Concept(("dog", "hound"), ("dog", "hound"), (0,), None, True),
            Concept(("pug",), ("pug",), (1,), 0, True),
            Concept(("lab",), ("lab",), (1,), 1, True),
            Concept(("tool",), ("tool",), (), None, True),
            Concept(("hammer",), ("hammer",), (4,), 2, True),
            Concept(("puppy",), ("puppy",), (1,), None, True),
            Concept(("mouse", "computer mouse"), ("computer mouse",), (4,), 3, True),
        ),
        {"mice": "mouse", "oxen": "ox"},
    )


@pytest.mark.parametrize(
    ("word", "classes"),
    [
        ("dog", (0, 1)),
        ("Dogs", (0, 1)),
        ("  hound ", (0, 1)),
        ("animal", (0, 1)),
        ("hammers", (2,)),
        ("computer mice", (3,)),
        ("the dog", (0, 1)),
        ("A computer mouse.", (3,)),
        ("tools", (2, 3)),
    ],
)
def test_a_word_means_the_classes_below_it(word, classes):
    assert small().meaning(word).classes == classes


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("puppy", "dog, pug, lab"),
        ("puppies", "dog, pug, lab"),
        ("mouse", "computer mouse"),
        ("hamer", "hammer"),
        ("red dog", "dog"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest_known_ones(word, near):
    with pytest.raises(PromptError, match=f"'{word}' is no kind of thing.*the nearest it knows: {near};"):
        small().meaning(word)


def test_a_word_near_nothing_is_refused_plainly_and_an_empty_one_too():
    with pytest.raises(
        PromptError, match="'xyzzyx' is no kind of thing that the bundled classifier knows; a"
    ):
        small().meaning("xyzzyx")
    with pytest.raises(PromptError, match="must not be empty"):
        small().meaning(" ")


def test_every_name_that_masks_get_can_be_looked_for():
    table = names()
    certain = np.eye(1000, dtype=np.float32)
    for label in table.labels:
        assert table.meaning(label).classes
    for number in range(0, 1000, 7):
        label, _ = table.name(certain[number])
        assert number in table.meaning(label).classes
    assert {"computer mouse", "ring-binder", "volcano"} <= set(table.labels)
    assert small().name(certain[3])[0] == "computer mouse"


def test_chance_is_taken_off_a_words_share():
    meaning = names().meaning("animal")
    nothing_known = np.full(1000, 0.001, np.float32)
    assert meaning.share(nothing_known) == pytest.approx(0, abs=1e-6)
    sure = np.zeros(1000, np.float32)
    sure[meaning.classes[0]] = 1
    assert meaning.share(sure) == pytest.approx(1)


def test_a_name_is_as_special_as_one_can_be_sure():
    probabilities = np.zeros(1000, np.float32)
    probabilities[[0, 1]] = 0.9, 0.1
    assert small().name(probabilities)[0] == "pug"
    probabilities[[0, 1]] = 0.45, 0.45
    assert small().name(probabilities)[0] == "dog"
    assert small().name(np.full(1000, 0.001, np.float32)) is None


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("dog", 118),
        ("vehicle", 67),
        ("fruit", 16),
        ("furniture", 22),
        ("bird", 59),
        ("cup", 1),
        ("person", 3),
    ],
)
def test_the_packages_table_knows_everyday_words(word, count):
    assert len(names().meaning(word).classes) == count


def test_every_class_has_a_name_that_finds_it():
    table = names()
    for number, name in enumerate(table.class_names):
        assert name
        concept = next(each for each in table.concepts if each.class_number == number)
        assert (
            any(number in table.meaning(word).classes for word in concept.searched or ())
            or not concept.searched
        )


def test_parents_come_before_children():
    for number, concept in enumerate(names().concepts):
        assert all(parent < number for parent in concept.parents)
