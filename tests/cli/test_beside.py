from __future__ import annotations

from threading import Event
from time import sleep

import pytest

from everymask.cli.track.beside import Beside


def test_work_is_done_in_order_and_no_more_waits_than_there_is_room():
    done, begun, go_on = [], Event(), Event()

    def first():
        begun.set()
        go_on.wait(5)
        done.append(0)

    with Beside(room=2) as beside:
        beside.do(first)
        begun.wait(5)
        beside.do(lambda: done.append(1))
        beside.do(lambda: done.append(2))
        assert beside._waiting.full()
        assert done == []
        go_on.set()
        beside.wait()
        assert done == [0, 1, 2]


def fail():
    raise OSError("no room")


def test_what_goes_wrong_is_raised_by_the_next_calls_and_nothing_is_done_after_it():
    done = []
    beside = Beside().__enter__()
    beside.do(fail)
    for ask in (beside.wait, lambda: beside.do(lambda: done.append(1)), beside.wait):
        with pytest.raises(OSError, match="no room"):
            ask()
    with pytest.raises(OSError, match="no room"):
        beside.__exit__(None, None, None)
    assert isinstance(beside.error, OSError)
    assert done == []


def test_an_error_of_the_last_piece_is_raised_when_the_block_ends():
    with pytest.raises(OSError, match="no room"), Beside() as beside:
        beside.do(fail)


def test_when_the_caller_fails_what_waits_is_dropped():
    done, begun = [], Event()

    def first():
        begun.set()
        while not beside._dropping:
            sleep(0.001)
        done.append(0)

    def interrupted():
        with beside:
            beside.do(first)
            beside.do(lambda: done.append(1))
            begun.wait(5)
            raise KeyboardInterrupt

    beside = Beside()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == [0]
