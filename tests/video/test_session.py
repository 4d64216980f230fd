from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from everymask.errors import OptionError, PromptError, SessionError, VideoError
from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.video import following
from everymask.video.tracker import VideoTracker


def masks_of(frames):
    return {frame.index: frame.logits for frame in frames}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for index in one:
        assert np.array_equal(one[index], other[index])


def test_frames_come_with_masks_scores_and_visibility(tracker, scene):
    with tracker.open(scene) as session:
        first = session.add_prompt(0, 5, points=[(14, 20)])
        assert first.object_ids == (5,)
        frames = list(session.propagate())
    assert [frame.index for frame in frames] == list(range(24))
    assert frames[3].masks.shape == (1, 48, 64)
    assert frames[3].masks.dtype == bool
    assert np.array_equal(frames[3].masks, frames[3].logits > 0)
    assert frames[3].scores.shape == frames[3].visible.shape == (1,)
    assert 0 <= frames[3].visibility[0] <= 1
    assert repr(frames[3]).startswith("TrackedFrame(index=3, objects: 5")
    assert [mask.label for mask in frames[3].mask_set()] == ["5"]


def test_tracking_can_stop_at_any_frame_and_go_on(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        whole = masks_of(session.propagate())
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        parts = {}
        for frame in session.propagate():
            parts[frame.index] = frame.logits
            if frame.index == 7:
                break
        parts.update(masks_of(session.propagate(start=8, stop=15)))
        parts.update(masks_of(session.propagate(start=15)))
    assert_same(parts, whole)


def test_a_snapshot_is_come_back_to_whatever_came_in_between(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        list(session.propagate(stop=6))
        kept = session.snapshot()
        expected = masks_of(session.propagate(start=6, stop=12))
        session.add_prompt(8, 1, points=[(40, 30)])
        session.add_prompt(8, 2, points=[(50, 10)])
        list(session.propagate(start=8, stop=12))
        session.restore(kept)
        assert session.object_ids == (1,)
        assert session.prompted_frames(1) == [0]
        assert_same(masks_of(session.propagate(start=6, stop=12)), expected)


def test_forgotten_frames_are_as_if_nobody_had_looked_at_them(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        expected = masks_of(session.propagate(stop=9))
        session.add_prompt(8, 1, points=[(40, 30)])
        list(session.propagate(start=8, stop=12))
        session.forget(1, 5, 23)
        assert session.prompted_frames(1) == [0]
        assert [session.knows(frame, 1) for frame in (4, 5, 8)] == [True, False, False]
        again = masks_of(session.propagate(start=5, stop=9))
        assert_same(again, {frame: expected[frame] for frame in range(5, 9)})
        session.forget(1, 0, 0)
        assert session.object_ids == ()
        with pytest.raises(SessionError, match="there is no object 1"):
            session.forget(1, 0, 0)


def test_going_on_from_the_end_is_nothing_to_do(tracker, scene):
    with tracker.open(scene[:4]) as session:
        session.add_prompt(1, 1, points=[(14, 20)])
        assert [frame.index for frame in session.propagate()] == [1, 2, 3]
        assert list(session.propagate(start=session.progress.next_frame)) == []
        assert [frame.index for frame in session.propagate(start=1, reverse=True)] == [1, 0]
        assert list(session.propagate(start=session.progress.next_frame, reverse=True)) == []


def test_objects_are_tracked_as_if_they_were_alone(tracker, scene):
    prompts = {1: {"points": [(14, 20)]}, 2: {"box": (40, 24, 60, 44)}, 9: {"mask": np.eye(48, 64) > 0}}
    alone = {}
    for object_id, prompt in prompts.items():
        with tracker.open(scene[:8]) as session:
            session.add_prompt(0, object_id, **prompt)
            alone[object_id] = masks_of(session.propagate())
    with tracker.open(scene[:8]) as session:
        for object_id, prompt in prompts.items():
            session.add_prompt(0, object_id, **prompt)
        for frame in session.propagate():
            for row, object_id in enumerate(frame.object_ids):
                difference = np.abs(frame.logits[row] - alone[object_id][frame.index][0]).max()
                assert difference < 1e-2


def test_objects_go_through_the_model_a_few_at_a_time_without_a_difference(tracker, scene, monkeypatch):
    def logits(at_once):
        monkeypatch.setattr(following, "OBJECTS_AT_ONCE", at_once)
        with tracker.open(scene[:6]) as session:
            for object_id in range(5):
                session.add_prompt(0, object_id, points=[(8 + 11 * object_id, 20)])
            return np.stack([frame.logits for frame in session.propagate()])

    few, many = logits(2), logits(16)
    assert few.shape == (6, 5, 48, 64)
    assert np.abs(few - many).max() < 1e-2
    assert not np.allclose(few[:, 0], few[:, 1])


def test_objects_come_and_go_while_the_others_keep_their_tracks(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        undisturbed = masks_of(session.propagate())
    seen = {}
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        for frame in session.propagate():
            seen[frame.index] = frame
            if frame.index == 6:
                session.add_prompt(7, 2, points=[(50, 30)])
            if frame.index == 12:
                session.remove_object(2)
    assert seen[6].object_ids == (1,)
    assert seen[7].object_ids == seen[12].object_ids == (1, 2)
    assert seen[13].object_ids == (1,)
    for index, frame in seen.items():
        assert np.abs(frame.logits[0] - undisturbed[index][0]).max() < 1e-2


def test_a_correction_stays_when_its_frame_is_tracked_again(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        list(session.propagate(stop=12))
        corrected = session.add_prompt(6, 1, points=[(20, 22)])
        again = masks_of(session.propagate(start=0, stop=8))
    assert np.array_equal(again[6], corrected.logits)


def test_added_points_give_what_all_points_at_once_give_but_for_the_earlier_mask(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        session.add_prompt(0, 1, points=[(30, 5)], labels=[0], keep_points=True)
        assert session._tracks[1].points[0].labels.tolist() == [[1, 0]]
        session.add_prompt(0, 1, points=[(14, 20)])
        assert session._tracks[1].points[0].labels.tolist() == [[1]]


def test_a_mask_replaces_points_and_points_a_mask(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        session.add_prompt(0, 1, mask=np.ones((48, 64), bool))
        assert (list(session._tracks[1].points), list(session._tracks[1].masks)) == ([], [0])
        session.add_prompt(0, 1, box=(4, 4, 20, 20))
        assert (list(session._tracks[1].points), list(session._tracks[1].masks)) == ([0], [])
        assert session.prompted_frames(1) == [0]


def test_a_given_mask_is_believed(tracker, scene):
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:44] = True
    with tracker.open(scene) as session:
        answer = session.add_prompt(0, 1, mask=mask)
    assert answer.scores.tolist() == [1.0]
    agreement = (answer.masks[0] & mask).sum() / (answer.masks[0] | mask).sum()
    assert agreement > 0.85  # it went through the model's grid


def test_masks_of_an_earlier_session_are_gone_on_from(tracker, scene):
    box = np.zeros((48, 64), bool)
    box[12:36, 16:48] = True
    with tracker.open(scene) as session:
        with pytest.raises(SessionError, match="no object 1"):
            session.add_tracked(5, 1, box)
        shown = session.add_prompt(0, 1, mask=box).masks[0]
        alone = [frame.logits for frame in session.propagate(start=10)]
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, mask=box)
        assert not session.knows(9, 1)
        for index in range(4, 10):
            session.add_tracked(index, 1, box)
        assert session.knows(9, 1)
        assert session.prompted_frames(1) == [0]
        assert np.array_equal(session.show(9).masks[0], shown)
        session.add_tracked(0, 1, np.zeros_like(box))  # the prompt stands
        assert np.array_equal(session.show(0).masks[0], shown)
        with pytest.raises(PromptError):
            session.add_tracked(9, 1, np.zeros((3, 3), bool))
        after = list(session.propagate(start=10))
    assert [frame.index for frame in after] == list(range(10, 24))
    assert not np.array_equal(after[0].logits, alone[0])  # they are remembered
    assert after[2].object_masks()[1].rle.area == after[2].masks[0].sum()


def test_objects_not_known_on_a_frame_are_absent_there(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        answer = session.add_prompt(9, 2, points=[(50, 30)])
    assert answer.object_ids == (1, 2)
    assert (answer.logits[0] == -1024).all()
    assert not answer.visible[0]


def test_non_overlapping_objects_share_no_pixel(model, scene):
    tracker = VideoTracker(model, non_overlap_masks=True)
    with tracker.open(scene[:5]) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        session.add_prompt(0, 2, points=[(15, 20)])
        for frame in session.propagate():
            assert frame.masks.sum(axis=0).max() <= 1


def test_fast_attention_is_near_where_bfloat16_is_faster(model, scene, monkeypatch):
    monkeypatch.setattr(following, "fast_dtype", lambda device: torch.bfloat16)
    apart, spread = fast_attention_apart(model, scene)
    assert 0 < apart < 0.2 * spread


def test_fast_attention_changes_nothing_where_bfloat16_is_not_faster(model, scene, monkeypatch):
    monkeypatch.setattr(following, "fast_dtype", lambda device: torch.float32)
    assert fast_attention_apart(model, scene)[0] == 0


def fast_attention_apart(model, scene):
    """The largest difference of logits that ``fast_attention`` makes, and their spread."""
    exact, fast = VideoTracker(model), VideoTracker(model, fast_attention=True)
    answers = []
    for tracker in (exact, fast):
        with tracker.open(scene[:5]) as session:
            session.add_prompt(0, 1, points=[(14, 20)])
            answers.append(masks_of(session.propagate()))
    spread = np.stack(list(answers[0].values())).std()
    return max(np.abs(answers[0][i] - answers[1][i]).max() for i in answers[0]), spread


def test_what_is_kept_does_not_grow_with_the_clip(model):
    tracker = VideoTracker(model, keep_frames=20)
    frame = np.full((48, 64, 3), 90, np.uint8)

    def kept_after(count):
        with tracker.open(frame for _ in range(count)) as session:
            session.add_prompt(0, 1, points=[(14, 20)])
            for _ in session.propagate():
                pass
            track = session._tracks[1]
            return len(track.recent), len(track.tracked), len(session._features._kept)

    assert kept_after(45) == kept_after(70)


def test_a_stream_is_tracked_as_its_frames_come(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        known_length = masks_of(session.propagate())
    with tracker.open(iter(scene)) as session:
        assert session.length is None
        session.add_prompt(0, 1, points=[(14, 20)])
        stream = masks_of(session.propagate())
        assert session.length == 24
    assert_same(stream, known_length)


# --- saved sessions -------------------------------------------------------------------------------


def test_a_saved_session_continues_to_the_same_bits(tracker, scene, tmp_path):
    path = tmp_path / "clip.session"
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        session.add_prompt(3, 2, mask=np.eye(48, 64) > 0)
        session.add_prompt(20, 1, box=(30, 20, 60, 40))
        list(session.propagate(stop=10))
        session.add_prompt(9, 2, points=[(20, 20), (3, 3)], labels=[1, 0])
        session.save(path)
        expected = masks_of(session.propagate(start=session.progress.next_frame))
        correction = session.add_prompt(12, 1, points=[(20, 20)]).logits
    with tracker.resume(path, scene) as session:
        assert session.object_ids == (1, 2)
        assert session.progress.next_frame == 10
        assert_same(masks_of(session.propagate(start=10)), expected)
        assert np.array_equal(session.add_prompt(12, 1, points=[(20, 20)]).logits, correction)


def test_a_crash_loses_at_most_the_frames_since_the_last_save(tracker, scene, tmp_path):
    path = tmp_path / "auto.session"
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        whole = masks_of(session.propagate())
    session = tracker.open(scene, autosave=path, autosave_every=5)
    session.add_prompt(0, 1, points=[(14, 20)])
    run = session.propagate()
    for _ in range(13):  # frames 0 to 12; then the power goes
        next(run)
    with tracker.resume(path, scene) as resumed:
        assert resumed.progress.next_frame == 10
        rest = masks_of(resumed.propagate(start=10))
    assert_same(rest, {index: logits for index, logits in whole.items() if index >= 10})


def test_a_session_of_another_clip_or_model_is_refused(tracker, scene, tmp_path):
    path = tmp_path / "clip.session"
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        session.save(path)
    with pytest.raises(SessionError, match="was saved on a clip of 24 frames, this one has 5"):
        tracker.resume(path, scene[:5])
    with pytest.raises(SessionError, match="was saved on frames of 64 x 48 pixels, these are 48 x 48"):
        tracker.resume(path, scene[:, :, :48])
    other = VideoTracker(build(tracker.model.spec))
    with pytest.raises(SessionError, match=r"was made by 'sam2\.1_hiera_tiny' with weights"):
        other.resume(path, scene)
    with pytest.raises(SessionError, match="there is no saved session at"):
        tracker.resume(tmp_path / "nothing", scene)
    with pytest.raises(SessionError, match=r"with another picture at frame 1 \(index 0\); pass the clip"):
        tracker.resume(path, scene[::-1])


def test_a_clip_that_changed_behind_its_first_frame_is_noticed_where_tracking_stopped(
    tracker, scene, tmp_path
):
    path = tmp_path / "clip.session"
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        list(session.propagate(stop=10))
        session.save(path)
    with pytest.raises(
        SessionError, match=r"another picture at frame 10 \(index 9\); pass the clip as it was then"
    ):
        tracker.resume(path, np.concatenate([scene[:1], scene[:0:-1]]))
    slightly = np.clip(scene.astype(int) + np.indices(scene.shape).sum(0) % 3 - 1, 0, 255).astype(np.uint8)
    assert tracker.resume(path, slightly).object_ids == (1,)  # as another decoder would give it


def test_a_session_file_that_is_damaged_or_foreign_is_refused(tracker, scene, tmp_path):
    path = tmp_path / "clip.session"
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        list(session.propagate(stop=9))
        session.save(path)
    whole = path.read_bytes()
    for content, text in (
        (b"hello, this is no session at all", "is not a saved session"),
        (b"", "is not a saved session: .*header too small"),
        (whole[:-100], "is not a saved session: .*not fully covered"),
        (whole[:-2000] + bytes(2000), "is damaged .*checksum is another.*; use an earlier copy, or track"),
        (whole.replace(b"conditioning.0.iou", b"conditioning.0.eye"), "is damaged"),
        (whole.replace(b"fill_hole_area", b"fill_hole_aria"), "is damaged .*fill_hole_aria"),
        (whole.replace(b'\\"objects\\"', b'\\"objekts\\"'), "is damaged .*objects"),
        (whole.replace(b"video session 2", b"video session 9"), "its format is 'everymask video session 9'"),
    ):
        assert content != whole
        path.write_bytes(content)
        with pytest.raises(SessionError, match=text):
            tracker.resume(path, scene)


def test_a_place_that_cannot_be_written_to_is_named_and_the_session_goes_on(tracker, scene, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "dear.txt").touch()
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        for path in (tmp_path / "file" / "a.session", tmp_path / "folder"):
            with pytest.raises(SessionError, match=r"the session cannot be saved to .*; name another file"):
                session.save(path)
            with pytest.raises(SessionError, match="the session cannot be saved to"):
                tracker.open(scene, autosave=path)
        assert (tmp_path / "folder" / "dear.txt").exists()
        session.autosave(tmp_path / "later" / "a.session", 2)
        (tmp_path / "later").rmdir()
        (tmp_path / "later").touch()
        run = session.propagate(stop=4)
        assert [next(run).index, next(run).index] == [0, 1]
        with pytest.raises(SessionError, match="the session cannot be saved to"):
            next(run)
        (tmp_path / "later").unlink()
        rest = session.propagate(start=session.progress.next_frame, stop=4)
        assert [frame.index for frame in rest] == [2, 3]


def test_numbers_of_numpy_are_as_good_as_plain_ones(tracker, scene, tmp_path):
    with tracker.open(scene) as session:
        session.add_prompt(np.int64(0), np.uint8(3), points=[(14, 20)])
        list(session.propagate(start=np.int64(0), stop=np.int32(3)))
        session.save(tmp_path / "a.session")
    assert tracker.resume(tmp_path / "a.session", scene).progress.next_frame == 3


def test_changed_options_count_from_the_next_frame(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        assert session._follower.rule.stride == 1
        session.options = replace(session.options, memory_stride=3)
        assert session._follower.rule.stride == 3


# --- wrong input ----------------------------------------------------------------------------------

WRONG_PROMPTS = [
    ({"frame": 24}, "there is no frame 24; the clip has 24 frames, 0 to 23"),
    ({"frame": -1}, "there is no frame -1; the clip has 24 frames, 0 to 23"),
    ({"frame": 1.5}, "frame must be a whole number, counting from 0, got 1.5"),
    ({"object_id": -2}, "object_id must be a whole number from 0, got -2"),
    ({"object_id": "cat"}, "object_id must be a whole number from 0, got 'cat'"),
    ({"points": [(64.5, 3)]}, "point (64.5, 3) is outside the picture of 64 x 48 pixels"),
    ({"points": None}, "no prompt was given; pass points=, box= or mask="),
    ({"points": [(1, 2, 3)]}, "points must have shape (N, 2) or (P, N, 2) in pixels, got (1, 3)"),
    ({"points": [[(1, 2)], [(3, 4)]]}, "one call prompts one object; call add_prompt once for each object"),
    ({"points": None, "box": (9, 9, 3, 3)}, "box must be XYXY with x0 < x1 and y0 < y1"),
    ({"mask": np.ones((48, 64), bool)}, "a mask already says all; pass mask= without points= and box="),
    ({"points": None, "mask": np.ones((48, 60), bool)}, "mask must be 16 x 16 (H x W) logits"),
    ({"points": None, "mask": np.zeros((16, 16), np.float32)}, "could be an empty mask or logits"),
    ({"points": [(np.nan, 3)]}, "points must be finite numbers, got NaN or infinity"),
    ({"points": None, "box": (1, 2, np.inf, 9)}, "box must be finite numbers, got NaN or infinity"),
    ({"points": None, "box": (90, 9, 99, 30)}, "does not overlap the picture of 64 x 48 pixels"),
    ({"points": None, "mask": np.ones((48, 64, 3), bool)}, "got shape (48, 64, 3)"),
    ({"labels": [2]}, "labels must be 1 (object), 0 (not the object) or -1 (padding), got 2"),
]


@pytest.mark.parametrize(("wrong", "text"), WRONG_PROMPTS)
def test_wrong_prompts_say_what_is_wrong_and_change_nothing(tracker, scene, wrong, text):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        arguments = {"frame": 2, "object_id": 7, "points": [(5, 5)], **wrong}
        with pytest.raises(PromptError) as caught:
            session.add_prompt(**arguments)
        assert text in str(caught.value)
        assert session.object_ids == (1,)
        assert len(list(session.propagate(stop=3))) == 3


def test_a_box_cannot_be_added_to_points(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        with pytest.raises(PromptError, match="a box comes before any point"):
            session.add_prompt(0, 1, box=(4, 4, 20, 20), keep_points=True)


def test_removing_an_object_twice_says_who_is_left(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        session.add_prompt(0, 4, points=[(14, 20)])
        session.remove_object(4)
        with pytest.raises(SessionError, match="there is no object 4; the session follows 1"):
            session.remove_object(4)
        assert len(list(session.propagate(stop=3))) == 3
        with pytest.raises(SessionError, match="there is no object 4; the session follows 1"):
            session.clear(0, 4)
        session.reset()
        with pytest.raises(SessionError, match="there is no object 1; the session follows none"):
            session.remove_object(1)


def test_frames_that_do_not_exist_are_refused_everywhere(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        for ask in (session.show, lambda frame: session.clear(frame, 1), session.propagate):
            for frame in (25, -2):
                with pytest.raises(
                    PromptError, match=f"there is no frame {frame}; the clip has 24 frames, 0"
                ):
                    ask(frame)
            with pytest.raises(PromptError, match="must be a whole number, counting from 0, got 'end'"):
                ask("end")
        with pytest.raises(PromptError, match="stop must be a whole number"):
            session.propagate(stop=2.5)
        assert session.prompted_frames(1) == [0]


def test_tracking_without_prompts_is_refused(tracker, scene):
    with tracker.open(scene) as session:
        with pytest.raises(SessionError, match="there is nothing to follow; call add_prompt first"):
            session.propagate()
        session.add_prompt(0, 1, points=[(14, 20)])
        session.clear(0, 1)
        with pytest.raises(SessionError, match="object 1 has no prompts left; prompt it again or"):
            session.propagate()


def test_stop_on_the_wrong_side_of_start_is_refused(tracker, scene):
    with tracker.open(scene) as session:
        session.add_prompt(5, 1, points=[(14, 20)])
        with pytest.raises(OptionError, match="stop must lie behind start=5 when reverse=False, got 2"):
            session.propagate(stop=2)
        with pytest.raises(OptionError, match="stop must lie before start=5 when reverse=True, got 9"):
            session.propagate(stop=9, reverse=True)
        assert [frame.index for frame in session.propagate(reverse=True)] == [5, 4, 3, 2, 1, 0]


def test_a_frame_that_cannot_be_used_ends_tracking_there_and_loses_nothing(tracker, scene):
    frames = list(scene)
    frames[6] = scene[6][:, :40]
    with tracker.open(frames) as session:
        session.add_prompt(0, 1, points=[(14, 20)])
        seen = []
        run = session.propagate()
        seen += [next(run).index for _ in range(6)]
        with pytest.raises(
            VideoError, match=r"frame 7 \(index 6\) of the list of pictures is 40 x 48, the clip"
        ):
            next(run)
        assert seen == [0, 1, 2, 3, 4, 5]
        assert [frame.index for frame in session.propagate(start=7, stop=9)] == [7, 8]


def test_options_are_checked(model):
    with pytest.raises(OptionError, match="unknown option 'overlap'; a tracker takes fill_hole_area"):
        VideoTracker(model, overlap=True)
    with pytest.raises(OptionError, match="memory_stride must be a whole number of at least 1, got 0"):
        VideoTracker(model, memory_stride=0)
    with pytest.raises(OptionError, match="max_conditioning must be a whole number of at least 2, got 1"):
        VideoTracker(model, max_conditioning=1)
    for megabytes in (-1, float("nan"), "much"):
        with pytest.raises(OptionError, match="cache_mb must be a number of megabytes from 0, got"):
            VideoTracker(model).open(np.zeros((2, 8, 8, 3), np.uint8), cache_mb=megabytes)
    for every in (0, 2.5):
        with pytest.raises(OptionError, match="autosave_every must be a whole number of at least 1"):
            VideoTracker(model).open(np.zeros((2, 8, 8, 3), np.uint8), autosave="a", autosave_every=every)


def test_a_model_without_memory_is_refused(model):
    photos_only = build(replace(model.spec, memory=None))
    with pytest.raises(OptionError, match="has no memory and cannot follow objects; load a SAM 2"):
        VideoTracker(photos_only)
    assert MODELS["nano"].memory is not None
