"""The next frame is read while one is tracked: the same masks, errors at their frame, nothing left over."""

import threading

import numpy as np
import pytest

from everymask.errors import VideoError
from everymask.media.frame_source import FrameSource


class Noted(FrameSource):
    """Frames that note who read them, one of them broken."""

    def __init__(self, frames, broken=None):
        super().__init__("the noted frames")
        self._frames, self.broken = frames, broken
        self.readers = {}

    @property
    def length(self):
        return len(self._frames)

    def _decode(self, index):
        self.readers.setdefault(index, threading.current_thread().name)
        if index == self.broken:
            raise VideoError(f"frame {index} is broken")
        return self._frames[index]


@pytest.fixture
def open_noted(tracker, scene):
    def open_it(count=6, broken=None):
        session = tracker.open(Noted(scene[:count], broken))
        session.add_prompt(0, 1, points=[(20, 20)])
        return session

    return open_it


def ahead(session):
    return sorted(i for i, name in session.source.readers.items() if name.startswith("everymask-reader"))


def test_every_frame_behind_the_first_is_read_in_the_other_thread(open_noted):
    with open_noted() as session:
        assert [frame.index for frame in session.propagate()] == list(range(6))
        assert ahead(session) == [2, 3, 4, 5]  # 0 is the prompt's, which is not encoded again


def test_nothing_is_read_behind_the_frame_at_which_tracking_stops(open_noted):
    with open_noted() as session:
        list(session.propagate(0, 3))
        session._features.clear()
        assert sorted(session.source.readers) == [0, 1, 2]


def test_backwards_frames_are_read_ahead_backwards(open_noted, scene):
    with open_noted() as session:
        session.add_prompt(5, 2, points=[(30, 20)])
        list(session.propagate(5, reverse=True))
        assert ahead(session) == [1, 2, 3]


def test_broken_frame_is_an_error_at_that_frame_and_not_before(open_noted):
    with open_noted(broken=4) as session:
        seen = []
        with pytest.raises(VideoError, match="frame 4 is broken"):
            seen.extend(frame.index for frame in session.propagate())
        assert seen == [0, 1, 2, 3]
        assert session.show(3).low_res.shape[0] == 1


def test_masks_are_those_of_frames_asked_for_one_by_one(open_noted):
    with open_noted() as session, open_noted() as plain:
        together = [frame.logits for frame in session.propagate()]
        alone = [frame.logits for i in range(6) for frame in plain.propagate(i, i + 1)]
        assert ahead(plain) == []
        np.testing.assert_array_equal(together, alone)


def test_leaving_the_loop_and_closing_ends_the_reading_thread(open_noted):
    session = open_noted()
    for frame in session.propagate():
        if frame.index == 2:
            break
    session.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("everymask-reader")]


def test_streams_are_not_read_ahead(tracker, scene):
    taken = []

    def stream():
        for index in range(5):
            taken.append(index)
            yield scene[index]

    with tracker.open(stream()) as session:
        session.add_prompt(0, 1, points=[(20, 20)])
        for frame in session.propagate():
            assert max(taken) == frame.index
