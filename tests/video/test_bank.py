import pytest

from everymask.video.bank import (
    BankRule,
    Recall,
    around,
    closest_conditioning,
    forgettable,
    pointer_span,
    recall,
)

RULE = BankRule()


def test_first_frame_after_the_prompt_sees_the_prompted_frame_only():
    assert recall(1, [0], [], RULE) == Recall(memories=((0, 0),), pointers=((1, 0),))


def test_six_recent_memories_and_fifteen_recent_pointers_are_seen():
    answer = recall(40, [0], range(1, 40), RULE)
    assert answer.memories == ((0, 0), (1, 34), (2, 35), (3, 36), (4, 37), (5, 38), (6, 39))
    assert answer.pointers == ((40, 0), *((step, 40 - step) for step in range(1, 16)))


def test_slots_of_frames_without_memory_stay_empty():
    assert recall(5, [2], [4], RULE).memories == ((0, 2), (6, 4))


def test_tracking_backwards_mirrors_the_rule():
    answer = recall(10, [20], range(11, 20), RULE, reverse=True)
    assert answer.memories == ((0, 20), (1, 16), (2, 15), (3, 14), (4, 13), (5, 12), (6, 11))
    assert answer.pointers == ((10, 20), *((step, 10 + step) for step in range(1, 10)))


def test_a_conditioning_frame_ahead_gives_its_memory_but_not_its_pointer():
    answer = recall(5, [0, 9], [], RULE)
    assert answer.memories == ((0, 0), (0, 9))
    assert answer.pointers == ((5, 0),)


def test_conditioning_frames_keep_the_order_in_which_they_were_prompted():
    assert recall(5, [4, 0, 2], [], RULE).memories == ((0, 4), (0, 0), (0, 2))


def test_left_out_conditioning_frame_counts_as_a_recent_one():
    rule = BankRule(max_conditioning=2)
    answer = recall(5, [0, 3, 4, 8], [], rule)
    assert answer.memories == ((0, 4), (0, 8), (2, 0), (5, 3))
    assert answer.pointers == ((1, 4), (2, 3), (5, 0))


def test_short_clip_looks_at_fewer_pointers():
    assert recall(3, [0], [1, 2], RULE, length=3).pointers == ((3, 0), (1, 2), (2, 1))
    assert pointer_span(RULE, 3) == 3
    assert pointer_span(RULE, 300) == 16
    assert pointer_span(RULE, None) == 16


def test_frames_beyond_the_clip_are_not_looked_at():
    assert recall(8, [9], [], RULE, reverse=True, length=10).pointers == ((1, 9),)


@pytest.mark.parametrize(
    ("frame", "reverse", "frames"),
    [
        (10, False, [-3, 0, 3, 6, 9]),  # 9 is also the frame before, and is seen in the last slot
        (11, False, [0, 3, 6, 9, 10]),
        (10, True, [21, 18, 15, 12, 11]),
    ],
)
def test_stride_looks_at_every_third_frame_and_the_last_one(frame, reverse, frames):
    rule = BankRule(memories=6, stride=3)
    seen = recall(frame, [50], range(-20, 50), rule, reverse=reverse).memories
    assert [index for _, index in seen[1:]] == frames


@pytest.mark.parametrize(
    ("frame", "expected"), [(50, [40, 60]), (0, [0, 10]), (95, [90, 60]), (40, [10, 40])]
)
def test_the_nearest_conditioning_frame_on_each_side_comes_first(frame, expected):
    assert closest_conditioning(frame, [0, 10, 40, 90, 60], 2) == expected


def test_no_limit_keeps_all_conditioning_frames():
    assert closest_conditioning(5, [9, 1], None) == [9, 1]


def test_a_frame_exactly_at_the_edge_of_the_window_stays():
    assert forgettable(100, [], [83, 84, 116, 117], RULE, keep=16) == [83, 117]


def test_the_window_is_never_smaller_than_the_reach_of_the_rule():
    assert RULE.reach == 15
    assert forgettable(100, [], [84, 85], RULE, keep=0) == [84]


def test_frames_near_a_conditioning_frame_stay():
    assert forgettable(500, [100], [84, 85, 115, 116], RULE, keep=20) == [84, 116]


def test_without_a_limit_nothing_is_forgotten():
    assert forgettable(500, [], range(400), RULE, keep=None) == []


def test_number_of_frames_kept_does_not_grow_with_the_clip():
    recent: set[int] = set()
    for frame in range(1, 5000):
        recent.add(frame)
        recent -= set(forgettable(frame, [0], recent, RULE, keep=20))
    assert len(recent) == 36


def test_nothing_that_is_forgotten_would_have_been_looked_at():
    for stride in (1, 2, 5):
        rule = BankRule(stride=stride)
        for frame in range(100, 110):
            seen = recall(frame + 1, [], range(0, frame + 1), rule)
            looked_at = {index for _, index in seen.memories + seen.pointers}
            assert not looked_at & set(forgettable(frame, [], range(0, frame + 1), rule, keep=0))


def test_a_correction_makes_seven_frames_on_either_side_doubtful():
    assert around(10, RULE) == range(3, 18)
