"""Other libraries are quiet for the thread that reads, and nobody else hears or misses anything."""

from __future__ import annotations

import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from everymask import opencv, pillow
from everymask.errors import PictureError
from everymask.media.photos import read_photo
from everymask.media.picture_files import decoding
from everymask.quiet import Held, ignoring, unlogged

PACKAGE = Path(__file__).resolve().parents[1] / "everymask"


class Inside:
    """A thread that is within a block until it is told to leave, and does what it is asked there."""

    def __init__(self, block):
        self._pool = ThreadPoolExecutor(1)
        self._block = block
        self.does(block.__enter__)

    def does(self, action, *arguments):
        return self._pool.submit(action, *arguments).result()

    def leave(self):
        self.does(self._block.__exit__, None, None, None)
        self._pool.shutdown()


@contextmanager
def everything_is_shown():
    """Filters as a program has them that shows all warnings; what is shown comes in a list."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield told


def warn(category=UserWarning):
    warnings.warn("something", category, stacklevel=2)


@pytest.mark.parametrize("leaves_first", [0, 1])
def test_two_threads_that_leave_in_any_order_are_quiet_while_they_are_inside(leaves_first):
    with everything_is_shown() as told:
        threads = [Inside(ignoring(UserWarning)), Inside(ignoring(UserWarning))]
        threads[leaves_first].leave()
        threads[1 - leaves_first].does(warn)
        assert told == []
        threads[1 - leaves_first].leave()
        warn()  # and nobody is quiet after both have left
        assert len(told) == 1


def test_a_thread_hears_its_own_warnings_while_another_is_quiet():
    with everything_is_shown() as told:
        other = Inside(ignoring())
        warn()
        other.does(warn)
        assert len(told) == 1
        other.leave()


def test_other_categories_are_shown_and_blocks_may_be_nested():
    with everything_is_shown() as told, ignoring(DeprecationWarning):
        warn()
        with ignoring(UserWarning):
            warn()
            warn(DeprecationWarning)
        warn(DeprecationWarning)
        warn()
    assert [each.category for each in told] == [UserWarning, UserWarning]


def test_filters_that_come_later_do_not_end_the_quiet_of_those_who_enter_after_them():
    with ignoring(UserWarning):
        pass
    with everything_is_shown() as told:
        warnings.simplefilter("error")
        with ignoring(UserWarning):
            warn()
        assert told == []
        with pytest.raises(UserWarning, match="something"):
            warn()


def test_quiet_threads_leave_no_more_than_a_filter_a_category():
    with everything_is_shown():
        for _ in range(5):
            with ignoring(UserWarning), ignoring(Image.DecompressionBombWarning):
                warnings.simplefilter("always")
        with ignoring(UserWarning), ignoring(Image.DecompressionBombWarning):
            pass
        ours = [each for each in warnings.filters if type(each[1]).__module__ == "everymask.quiet"]
        assert len(ours) == len(set(map(id, ours)))


@pytest.mark.parametrize("leaves_first", [0, 1])
def test_a_setting_comes_back_with_the_last_thread_that_holds_it(leaves_first):
    value = ["before"]

    def change():
        before, value[0] = value[0], "changed"
        return lambda: value.__setitem__(0, before)

    held = Held(change)
    threads = [Inside(held.block()), Inside(held.block())]
    threads[leaves_first].leave()
    assert value == ["changed"]
    threads[1 - leaves_first].leave()
    assert value == ["before"]


@pytest.mark.parametrize("leaves_first", [0, 1])
def test_pillows_limit_comes_back_whichever_thread_reads_longer(monkeypatch, leaves_first):
    monkeypatch.setenv(pillow.LIMIT_VARIABLE, "1001")
    before = Image.MAX_IMAGE_PIXELS
    threads = [Inside(decoding("a")), Inside(decoding("b"))]
    threads[leaves_first].leave()
    assert 2 * Image.MAX_IMAGE_PIXELS == 1001
    threads[1 - leaves_first].leave()
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("leaves_first", [0, 1])
def test_opencvs_log_comes_back(leaves_first):
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    threads = [Inside(opencv.silent()), Inside(opencv.silent())]
    threads[leaves_first].leave()
    assert log.getLogLevel() == 0
    threads[1 - leaves_first].leave()
    assert log.getLogLevel() == before


@pytest.mark.parametrize("name", ["PIL.TiffImagePlugin", "tifffile"])
def test_a_logger_is_off_for_the_thread_within_alone(name, caplog):
    log = logging.getLogger(name)
    block = pillow.silent if name.startswith("PIL") else lambda: unlogged("tifffile")
    one, other = Inside(block()), Inside(block())
    one.leave()
    other.does(log.warning, "dropped")
    log.warning("heard")
    other.leave()
    log.warning("heard again")
    assert caplog.messages == ["heard", "heard again"]
    assert not log.disabled


def test_threads_that_read_photos_at_once_leave_everything_as_it_was(tmp_path, monkeypatch):
    """Pictures that Pillow warns of, some over the limit: no stray line, no photo refused that fits."""
    monkeypatch.setenv(pillow.LIMIT_VARIABLE, "1000")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)  # half the pixels of those that fit
    palette = Image.fromarray(np.arange(300, dtype=np.uint8).reshape(15, 20) % 4, "L").convert("P")
    palette.save(tmp_path / "fits.png", transparency=b"\0\x80\xff\xff")
    Image.new("L", (40, 40)).save(tmp_path / "large.png")
    Image.fromarray(np.zeros((15, 20), np.uint8)).save(tmp_path / "fits.tif")
    start = threading.Barrier(8)

    def read(number):
        start.wait()
        outcomes = []
        for name in ("fits.png", "large.png", "fits.tif") * 60:
            try:
                outcomes.append((name, read_photo(tmp_path / name).shape))
            except PictureError as error:
                outcomes.append((name, "more than the 1,000 pixels" in str(error)))
        return set(outcomes)

    with everything_is_shown() as told, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(8)))
        assert told == []
        assert Image.MAX_IMAGE_PIXELS == 150
        warn()
        assert len(told) == 1
    assert found == [{("fits.png", (15, 20, 3)), ("large.png", True), ("fits.tif", (15, 20, 3))}] * 8


def test_the_library_changes_no_filters_of_warnings_that_threads_share():
    """``catch_warnings`` is for the one thread of a command, and for Python that keeps filters by thread."""
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "catch_warnings(" in path.read_text("utf-8")
    }
    assert users == {"quiet.py", "cli/main.py", "cli/shared/downloads.py"}
