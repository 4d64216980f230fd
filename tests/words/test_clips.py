"""Words on a clip: found on some frames, matched to tracks, one name an object."""

import numpy as np
import pytest

import everymask as em
from everymask.errors import OptionError, PromptError
from everymask.models.load import build
from everymask.video.tracker import VideoTracker
from everymask.words.clips import Limits, Look, WordWatch, find_in_video, matched, names_of
from everymask.words.detect.protocol import Detection
from tests.parity.seeded import seeded_state
from tests.video.parity import moving_scene, tiny

HW = (48, 64)


@pytest.fixture(scope="module")
def model():
    spec = tiny(image_size=64)
    return build(spec, seeded_state({k: v.shape for k, v in build(spec).state_dict().items()}))


def box(x0, y0, x1, y1):
    pixels = np.zeros(HW, bool)
    pixels[y0:y1, x0:x1] = True
    return pixels


class Seer:
    """Finds what it was told to, look after look: lists of (word, score, mask)."""

    name, threshold = "seer", 0.3

    def __init__(self, *looks):
        self.looks, self.seen = list(looks), []

    def check(self, words):
        if "quasar" in words:
            raise PromptError("no quasar")

    def detect(self, photo, words, threshold):
        self.seen.append(photo)
        found = self.looks.pop(0) if self.looks else []
        return [
            Detection(word, score, (0, 0, 1, 1), em.Mask.from_segmentation(mask))
            for word, score, mask in found
            if score >= threshold
        ]


LEFT, RIGHT = box(4, 4, 24, 40), box(36, 4, 60, 40)


def test_finds_are_matched_one_to_one_by_iou():
    shifted = box(6, 4, 26, 40)
    known, new = matched([RIGHT, shifted, LEFT], np.stack([LEFT]))
    assert known == {2: 0}
    assert new == [0], "the shifted one is the followed object too, and no new one"


def test_parts_wholes_and_empty_tracks_start_nothing():
    assert matched([box(4, 4, 10, 10)], LEFT[None]) == ({}, [])
    assert matched([box(0, 0, 64, 48)], LEFT[None]) == ({}, [])
    assert matched([LEFT], np.zeros((1, *HW), bool)) == ({}, [0])
    assert matched([], LEFT[None]) == ({}, [])
    assert matched([LEFT, LEFT], np.zeros((0, *HW), bool)) == ({}, [0])


def test_an_objects_name_is_the_word_of_most_score_and_a_frame_counts_once():
    looks = [
        Look(0, {1: ("dog", 0.6), 2: ("cat", 0.9)}),
        Look(30, {1: ("cat", 0.7)}),
        Look(60, {1: ("dog", 0.2)}),
    ]
    assert names_of(looks) == {1: "dog", 2: "cat"}


def test_objects_are_found_at_first_again_and_behind_a_cut(model):
    scene = moving_scene(12, HW)
    scene[7:] = 255 - scene[7:]
    scene[7:] //= 3
    seer = Seer([(0, 0.9, LEFT)], [(0, 0.8, RIGHT)], [], [])
    clip = find_in_video(scene, "dog . cat", model, detector=seer, look_every=5)
    looked = [next(i for i, frame in enumerate(scene) if np.array_equal(frame, photo)) for photo in seer.seen]
    assert looked == [0, 5, 7, 10]
    assert clip.names == {1: "dog", 2: "dog"}
    assert sorted(clip.frames) == list(range(12))
    assert list(clip.frames[4]) == [1]
    assert list(clip.frames[5]) == [1, 2]
    assert clip.frame_hw == HW


def test_a_track_keeps_its_number_and_gathers_names(model):
    scene = moving_scene(6, HW)
    with VideoTracker(model).open(scene) as session:
        seer = Seer([(0, 0.4, LEFT)])
        watch = WordWatch(session, seer, ["dog", "cat"], model, every=3)
        assert watch.find_first() == 0
        assert watch.names == {1: "dog"}
        *_, frame = session.propagate(0, 4)
        seer.looks = [[(1, 0.9, session.show(3).masks[0])]]
        assert watch.look(3) == 0
        assert session.object_ids == (1,)
        assert watch.names == {1: "cat"}
        assert frame.index == 3


def test_what_is_first_seen_later_is_followed_from_there(model):
    seer = Seer([], [], [(1, 0.9, LEFT)])
    clip = find_in_video(moving_scene(12, HW), ["dog", "cat"], model, detector=seer, look_every=4, stop=11)
    assert sorted(clip.frames) == [8, 9, 10]
    assert clip.names == {1: "cat"}


def test_no_more_objects_than_asked_for(model):
    everything = [(0, 0.9, LEFT), (0, 0.8, RIGHT)]
    assert find_in_video(moving_scene(2, HW), "dog", model, detector=Seer(everything), at_most=1).names == {
        1: "dog"
    }
    one = find_in_video(moving_scene(2, HW), "dog", model, detector=Seer(everything), most_objects=1)
    assert one.names == {1: "dog"}


def test_wrong_words_options_and_absent_things_are_told(model):
    scene = moving_scene(9, HW)
    with pytest.raises(PromptError, match="no dog and no cat was found on 3 frames of the array"):
        find_in_video(scene, "dog . cat", model, detector=Seer(), look_every=4)
    telling = Seer()
    telling.highest = (0.07, 0.21)
    with pytest.raises(PromptError, match=r"the array \(best score 0.21, finds count from 0.3\); look more"):
        find_in_video(scene, "dog . cat", model, detector=telling, look_every=4)
    with pytest.raises(PromptError, match="no quasar"):
        find_in_video(scene, "quasar", model, detector=Seer())
    with pytest.raises(PromptError, match="must name what to look for"):
        find_in_video(scene, " ", model, detector=Seer())
    with pytest.raises(OptionError, match="look_every must be at least 0"):
        find_in_video(scene, "dog", model, detector=Seer(), look_every=-1)
    with pytest.raises(OptionError, match="most_objects must be at least 1"):
        Limits(most_objects=0)
    with pytest.raises(OptionError, match="has no memory"):
        find_in_video(scene, "dog", _without_memory(), detector=Seer())


def _without_memory():
    from tests.fakes import FakeModel

    return FakeModel("sam")
