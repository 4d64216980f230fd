"""OpenCV says nothing by itself, in both ways in which versions of it are told so."""

import types

import cv2
import numpy as np
import pytest

from everymask import opencv


def test_opencv_5_keeps_its_log_elsewhere(monkeypatch):
    levels = [3]
    logging = types.SimpleNamespace(getLogLevel=lambda: levels[-1], setLogLevel=levels.append)
    utils = types.SimpleNamespace(logging=logging)
    monkeypatch.setattr(opencv, "cv2", types.SimpleNamespace(utils=utils))
    with opencv.silent():
        assert levels[-1] == 0
    assert levels == [3, 0, 3]


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 5), (0, 3, 3), (2, 0)])
def test_what_cannot_be_encoded_is_an_error_and_nothing_is_printed(capfd, shape):
    assert opencv.encoded(np.zeros((2, 3, 3), np.uint8)).startswith(b"\x89PNG")
    with pytest.raises((OSError, cv2.error)):
        opencv.encoded(np.zeros(shape, np.uint8))
    assert capfd.readouterr().err == ""
