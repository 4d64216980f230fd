"""Masks of what words name: one word a mask, none for what is not there."""

from pathlib import Path

import numpy as np
import pytest

import everymask as em
from everymask.errors import OptionError, PictureError, PromptError
from everymask.words import find as find_module
from everymask.words.detect import lite
from everymask.words.detect.protocol import Detection
from everymask.words.names import names

PHOTO_HW = (60, 80)


def box_mask(x0, y0, x1, y1) -> em.Mask:
    pixels = np.zeros(PHOTO_HW, bool)
    pixels[y0:y1, x0:x1] = True
    return em.Mask.from_segmentation(pixels, predicted_iou=0.9)


@pytest.fixture(scope="module")
def model():
    return em.load("nano", device="cpu")


@pytest.fixture
def masks() -> em.MaskSet:
    """Two things beside each other, a part of the first, and the whole photo."""
    return em.MaskSet(
        [box_mask(5, 5, 30, 50), box_mask(45, 5, 75, 50), box_mask(10, 10, 25, 25), box_mask(0, 0, 80, 60)]
    )


@pytest.fixture
def seen(monkeypatch):
    """What the classifier says, by the mask's left edge."""
    said: dict[int, dict[str, float]] = {}

    def probabilities(photo, some, network):
        rows = np.full((len(some), 1000), 1e-5, np.float32)
        for row, mask in zip(rows, some, strict=True):
            for name, share in said.get(mask.extent[1].start, {}).items():
                row[names().class_names.index(name)] = share
        return rows, rows

    monkeypatch.setattr(lite, "probabilities", probabilities)
    return said


def found(model, masks, words, **options):
    photo = np.zeros((*PHOTO_HW, 3), np.uint8)
    result = em.find(photo, words, model, masks=masks, **options)
    return [(mask.label, mask.extent[1].start) for mask in result]


def test_masks_get_the_users_own_words_surest_first(model, masks, seen):
    seen |= {5: {"pug": 0.6, "Chihuahua": 0.2}, 45: {"minivan": 0.9}}
    assert found(model, masks, "Dogs . vehicle") == [("vehicle", 45), ("Dogs", 5)]


def test_a_word_of_something_absent_gives_no_mask(model, masks, seen):
    seen |= {5: {"pug": 0.9}, 45: {"pug": 0.05}}
    assert found(model, masks, ["cat", "fruit"]) == []
    assert found(model, masks, "dog") == [("dog", 5)]


def test_of_a_thing_and_its_part_the_likelier_stays(model, masks, seen):
    seen |= {5: {"pug": 0.7}, 10: {"pug": 0.9}}
    assert found(model, masks, "dog") == [("dog", 10)]
    seen[5] = {"pug": 0.95}
    assert found(model, masks, "dog") == [("dog", 5)]


def test_a_likely_fragment_gives_way_to_the_well_outlined_thing(model, masks, seen):
    seen |= {5: {"pug": 0.5}, 10: {"pug": 0.7}}
    well, fragment = masks[0], masks[2].replace(predicted_iou=0.3)
    assert found(model, em.MaskSet([well, fragment]), "dog") == [("dog", 5)]
    unknown = [mask.replace(predicted_iou=None) for mask in (well, fragment)]
    assert found(model, em.MaskSet(unknown), "dog") == [("dog", 10)]


def test_a_fragment_alone_must_be_likelier(model, masks, seen):
    seen[10] = {"pug": 0.38}  # less chance, as many breeds as there are: a score of 0.3
    fragment = masks[2].replace(predicted_iou=0.3)
    alone = em.MaskSet([fragment])
    assert found(model, alone, "dog") == []
    assert found(model, alone, "dog", threshold=0.1) == [("dog", 10)]
    assert found(model, em.MaskSet([fragment.replace(predicted_iou=0.8)]), "dog") == [("dog", 10)]
    finder = lite.Lite(model, alone)
    finder.detect(np.zeros((*PHOTO_HW, 3), np.uint8), ["dog", "truck"], 0.15)
    assert finder.highest == pytest.approx([0.3 * 0.3 / lite.WELL, 0], abs=0.01)


def test_the_more_special_word_wins_whatever_the_order(model, masks, seen):
    seen[5] = {"pug": 0.6, "tabby": 0.3}
    for words in ("animal . dog", "dog . animal"):
        assert found(model, masks, words) == [("dog", 5)]
    seen[5] = {"tabby": 0.9}
    assert found(model, masks, "animal . dog") == [("animal", 5)]


def test_the_whole_photo_is_no_thing(model, masks, seen):
    seen[0] = {"pug": 0.99}
    assert found(model, masks, "dog") == []


def test_threshold_and_at_most_bound_what_is_found(model, masks, seen):
    seen |= {5: {"pug": 0.5}, 45: {"pug": 0.8}}
    assert found(model, masks, "dog", threshold=0.6) == [("dog", 45)]
    assert found(model, masks, "dog", at_most=1) == [("dog", 45)]
    assert found(model, masks, "dog", threshold=0.9) == []


def test_what_is_far_less_sure_than_the_surest_of_its_word_is_left_out(model, masks, seen):
    seen |= {5: {"pug": 0.9}, 45: {"pug": 0.4}}
    assert found(model, masks, "dog") == [("dog", 5)]
    seen[45] = {"pug": 0.6}
    assert found(model, masks, "dog") == [("dog", 5), ("dog", 45)]
    seen[45] = {"minivan": 0.4}
    assert found(model, masks, "dog . vehicle") == [("dog", 5), ("vehicle", 45)]


def test_scores_and_the_detector_are_kept_with_the_mask(model, masks, seen):
    seen[5] = {"pug": 0.8}
    photo = np.zeros((*PHOTO_HW, 3), np.uint8)
    [mask] = em.find(photo, "dog", model, masks=masks)
    assert mask.attributes["detector"] == "lite"
    assert 0.75 < mask.attributes["score"] < 0.85
    assert mask.predicted_iou == pytest.approx(0.9)


def test_masks_are_named_where_the_classifier_is_sure(model, masks, seen):
    seen |= {5: {"pug": 0.4, "Chihuahua": 0.4}, 45: {"minivan": 0.3, "pug": 0.3}}
    labelled = lite.named(np.zeros((*PHOTO_HW, 3), np.uint8), masks, model)
    assert [mask.label for mask in labelled] == ["dog", None, None, None]
    assert labelled[0].attributes["name_score"] > 0.7
    mine = em.MaskSet([masks[0].replace(label="Rex"), *masks[1:]])
    assert lite.named(np.zeros((*PHOTO_HW, 3), np.uint8), mine, model)[0].label == "Rex"


def test_no_masks_nothing_found(model):
    empty = em.MaskSet([], PHOTO_HW)
    photo = np.zeros((*PHOTO_HW, 3), np.uint8)
    assert len(em.find(photo, "dog", model, masks=empty)) == 0
    assert len(lite.named(photo, empty, model)) == 0


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("", PromptError, "must name what to look for"),
        (" . ", PromptError, "must name what to look for"),
        ([], PromptError, "must name what to look for"),
        ([3], PromptError, "must be texts"),
        ("dog . quasar", PromptError, "'quasar' is no kind of thing"),
    ],
)
def test_words_are_checked_before_anything_runs(words, error, said, monkeypatch):
    monkeypatch.setattr(lite, "AutomaticMaskGenerator", None)
    with pytest.raises(error, match=said):
        em.find(np.zeros((*PHOTO_HW, 3), np.uint8), words)


def test_wrong_options_are_told(model):
    photo = np.zeros((*PHOTO_HW, 3), np.uint8)
    with pytest.raises(OptionError, match="at_most must be at least 1"):
        em.find(photo, "dog", model, at_most=0)
    with pytest.raises(OptionError, match="threshold must be from 0 to 1"):
        em.find(photo, "dog", model, threshold=7)
    with pytest.raises(OptionError, match="detector must be one of lite"):
        em.find(photo, "dog", model, detector="magic")
    with pytest.raises(PromptError, match="masks must be of the photo"):
        em.find(photo, "dog", model, masks=em.MaskSet([], (5, 5)))


def test_a_detector_of_ones_own_gives_boxes_and_the_model_the_masks(model):
    class Mine:
        name, threshold = "mine", 0.5

        def check(self, words):
            assert words == ["cup", "saucer"]

        def detect(self, photo, words, threshold):
            assert threshold == 0.5
            return [Detection(1, 0.6, (10.0, 10.0, 40.0, 40.0)), Detection(0, 0.9, (20.0, 5.0, 60.0, 50.0))]

    photo = np.random.default_rng(0).integers(0, 255, (*PHOTO_HW, 3), np.uint8)
    result = em.find(photo, "cup . saucer", model, detector=Mine())
    assert [(mask.label, mask.attributes["score"]) for mask in result] == [("cup", 0.9), ("saucer", 0.6)]
    assert result.photo_hw == PHOTO_HW


def test_words_with_dots_lists_and_repeats():
    assert find_module.read_words(["a dog", "cat . a  dog"]) == ["a dog", "cat"]
    assert find_module.read_words("dog.cat, red leash;Dog\nbin.") == ["dog", "cat", "red leash", "bin"]
    for nothing in ("", " . , ", [], [" . "]):
        with pytest.raises(PromptError, match="got none"):
            find_module.read_words(nothing)


def test_a_list_of_photos_gives_a_list_and_a_broken_one_costs_nothing(model, masks, seen, monkeypatch):
    seen |= {5: {"pug": 0.9}}
    monkeypatch.setattr(em.AutomaticMaskGenerator, "generate", lambda self, photo, *_, **__: masks)
    photo = np.zeros((*PHOTO_HW, 3), np.uint8)
    results = em.find([photo, photo + 1], "dog", model)
    assert [[mask.label for mask in each] for each in results] == [["dog"], ["dog"]]
    assert em.find([], "dog", model) == []
    with pytest.raises(PictureError, match="photo 2 of the list: "):
        em.find([photo, "missing.jpg"], "dog", model)
    with pytest.raises(PromptError, match="give one, not a list"):
        em.find([photo], "dog", model, masks=masks)
    with pytest.raises(PromptError, match="words must be a text such as"):
        em.find(photo, 5, model)


def test_words_of_a_list_keep_their_dots_and_commas():
    lines = ["St. Bernard", "tench, Tinca tinca", "U.S. flag", "no. 5"]
    assert find_module.read_words(lines) == lines
    assert find_module.read_words(find_module.read_words(lines)) == lines


def test_a_text_that_is_no_word_is_told_in_one_line():
    with pytest.raises(PromptError, match=r"at most 200 characters, got 19,999: 'dog dog") as raised:
        find_module.read_words(" ".join(["dog"] * 5000))
    assert len(str(raised.value)) < 200


def test_the_bundled_photo_shows_a_cat():
    photo = em.read_photo(Path(em.__file__).parent / "assets" / "cat.jpg")
    result = em.find(photo, "cat . dog")
    assert [mask.label for mask in result] == ["cat"]
    inside = result[0].segmentation
    assert inside[180, 120]  # its cheek
    assert not inside[250, 430]  # the blanket


def test_what_only_the_surroundings_show_is_not_found(model, masks, monkeypatch):
    together = np.full((4, 1000), 1e-5, np.float32)
    together[:2, names().class_names.index("pug")] = 0.9
    alone = together.copy()
    alone[1] = 1e-5
    worth = len(lite.worth_naming(masks))
    monkeypatch.setattr(lite, "probabilities", lambda *_: (together[:worth], alone[:worth]))
    assert found(model, masks, "dog") == [("dog", 5)]
    labelled = lite.named(np.zeros((*PHOTO_HW, 3), np.uint8), masks, model)
    assert [mask.label for mask in labelled] == ["pug", None, None, None]
