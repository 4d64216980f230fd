"""Sets of sixteen-byte keys against Python's own set."""

import numpy as np
import pytest

from everymask.batching.keys import EMPTY, KeyMap, KeySet, as_keys, ticket


def some(count: int, seed: int = 0) -> list[bytes]:
    return [ticket(f"photo {seed} {number}", "") for number in range(count)]


def test_a_set_that_grows_holds_what_was_added_and_nothing_else():
    added, others = some(3000), some(1000, seed=1)
    keys = KeySet()
    for start in range(0, 3000, 70):
        keys.add(as_keys(added[start : start + 70]))
    assert len(keys) == 3000
    assert keys.has(as_keys(added)).all()
    assert not keys.has(as_keys(others)).any()


def test_the_empty_set_holds_nothing():
    assert not KeySet().has(as_keys(some(3))).any()
    assert len(KeySet().has(EMPTY)) == 0
    assert KeyMap(EMPTY).see(as_keys(some(2))).tolist() == [False, False]
    assert len(KeyMap(EMPTY).unseen()) == 0


def test_keys_that_share_their_upper_half_are_told_apart():
    same = [b"12345678" + bytes([number]) * 8 for number in range(5)]
    keys = KeySet(as_keys([same[0], same[4], same[2]]))
    assert [key in keys for key in same] == [True, False, True, False, True]
    assert b"12345677" + bytes(8) not in keys
    assert b"\xff" * 16 not in keys


def test_keys_that_end_in_zeros_are_whole():
    keys = KeySet(as_keys([bytes(15) + b"\1", b"\1" + bytes(15)]))
    assert bytes(16) not in keys
    assert b"\1" + bytes(15) in keys


def test_unseen_are_those_that_nobody_asked_for():
    keys = some(500)
    known = KeyMap(as_keys(keys))
    assert known.see(as_keys([*keys[:300], *some(5, seed=2)])).tolist() == [True] * 300 + [False] * 5
    assert {key.tobytes() for key in known.unseen()} == set(keys[300:])


@pytest.mark.parametrize("other", [("a.jpg", "2"), ("b.jpg", "1"), ("a.jpg\0", "1")])
def test_a_ticket_changes_with_name_and_stamp(other):
    assert ticket("a.jpg", "1") == ticket("a.jpg", "1")
    assert ticket("a.jpg", "1") != ticket(*other)


def test_names_that_are_no_text_have_tickets():
    assert len(ticket("caf\udce9.jpg", "1")) == 16


def test_tickets_of_a_chunk_are_unique_by_numpy():
    keys = as_keys([*some(10), *some(10)])
    assert len(np.unique(keys)) == 10
