"""Reading goes on where storage is slow, fails or cuts short, and says so where it does not mend."""

from __future__ import annotations

import threading

import pytest

from everymask.batching.listing import Entry, find_entries
from everymask.batching.reading import Fetched, fetch
from everymask.batching.storage import Place, persistently
from everymask.errors import BatchError
from tests.batching.files import png, save_parquet

ONE = Entry("a.png", "/x", "", 5, "1")


def failing(times: int, error: Exception | bytes):
    """A reader that gives ``error`` so many times, then the photo."""
    left = [times]

    def read(entry: Entry) -> bytes:
        if left[0]:
            left[0] -= 1
            if isinstance(error, bytes):
                return error
            raise error
        return b"12345"

    return read


@pytest.mark.parametrize("error", [OSError("reset"), b"123", RuntimeError("of a library"), b""])
def test_two_failures_are_mended_and_counted(error):
    assert fetch([ONE], failing(2, error), pause=0) == [Fetched(b"12345", "", 3)]


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError("reset"), "reset"), (b"123", "3 bytes came of 5"), (b"", "0 bytes came of 5")],
)
def test_the_third_failure_is_said(error, said):
    (fetched,) = fetch([ONE], failing(3, error), pause=0)
    assert fetched.content is None
    assert said in fetched.error
    assert fetched.tries == 3


def test_one_photo_that_fails_leaves_the_others_in_their_places():
    entries = [Entry(f"{number}", "/x", "", -1) for number in range(20)]

    def read(entry):
        if entry.name == "7":
            raise FileNotFoundError(2, "No such file or directory", "7")
        return entry.name.encode()

    fetched = fetch(entries, read, pause=0)
    assert [each.content for each in fetched] == [
        None if number == 7 else str(number).encode() for number in range(20)
    ]
    assert fetched[7].error == "No such file or directory (7)"


def test_a_read_that_hangs_is_given_up_and_the_others_come():
    held = threading.Event()

    def read(entry):
        if entry.name == "slow":
            held.wait(20)
        return b"12345"

    fetched = fetch([Entry("slow", "/x"), ONE], read, seconds=0.05, pause=0)
    held.set()
    assert fetched[0] == Fetched(None, "reading took longer than 0.05 s", 3)
    assert fetched[1].content == b"12345"


def test_a_file_that_has_changed_since_it_was_listed_is_not_taken_for_the_other(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0))
    (entry,) = find_entries([str(tmp_path)])
    (tmp_path / "a.png").write_bytes(b"short")
    (fetched,) = fetch([entry], pause=0)
    assert "5 bytes came of" in fetched.error


def test_rows_of_one_group_are_read_together(tmp_path, monkeypatch):
    from everymask.batching import reading

    calls = []
    monkeypatch.setattr(
        reading, "read_rows", lambda *a, real=reading.read_rows: calls.append(a[1]) or real(*a)
    )
    save_parquet(tmp_path / "d.parquet", {"image": [png(0), png(1), None, png(3)]})
    listed = list(find_entries([str(tmp_path / "d.parquet")]))
    fetched = fetch(listed, pause=0)
    assert [each.content for each in fetched] == [png(0), png(1), None, png(3)]
    assert fetched[2].error == "its row holds no picture"
    assert sorted(calls) == [0, 1]


def test_writing_is_tried_again_unless_that_cannot_help():
    tries = []

    def action(error):
        tries.append(1)
        if len(tries) < 3:
            raise error
        return "written"

    assert persistently(lambda: action(OSError("reset")), "x", pause=0) == "written"
    for error in (OSError(28, "No space left on device"), PermissionError(13, "Permission denied")):
        tries.clear()
        with pytest.raises(BatchError, match=r"cannot write: (No space left|Permission denied)"):
            persistently(lambda error=error: action(error), "cannot write", pause=0)
        assert len(tries) == 1


def test_of_two_who_create_a_file_one_does(tmp_path):
    place = Place.of(tmp_path / "new" / "a")
    assert place.create(b"first")
    assert not place.create(b"second")
    assert place.read() == b"first"
    assert [path.name for path in place.path.parent.iterdir()] == ["a"]
