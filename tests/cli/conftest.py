"""A very small model behind the command line, a clip, and a detector that finds what it is told to."""

import numpy as np
import pytest

from everymask.cli.main import run
from everymask.cli.shared import downloads
from everymask.errors import PromptError
from everymask.maskset import Mask
from everymask.media.video_writer import VideoWriter
from everymask.models.load import build
from tests.parity.seeded import seeded_state
from tests.video.parity import moving_scene, tiny


@pytest.fixture(scope="module")
def model():
    spec = tiny(image_size=64)
    return build(spec, seeded_state({k: v.shape for k, v in build(spec).state_dict().items()}))


@pytest.fixture
def everymask(model, monkeypatch):
    """The command line with a very small model."""
    monkeypatch.setattr(downloads, "load_visibly", lambda *_: model)
    return lambda *words: run([str(word) for word in words])


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "scene.mp4"
    with VideoWriter(path, 25) as writer:
        for frame in moving_scene(10, (48, 64)):
            writer.write(frame)
    return path


@pytest.fixture
def seer(monkeypatch):
    """The detector is one that finds the ball where it was told to, on the second frame looked at."""
    from everymask.words import segmenter
    from everymask.words.detect.protocol import Detection

    class Seer:
        name, threshold, looks = "seer", 0.2, 0

        def check(self, words):
            if "quasar" in words:
                raise PromptError("no quasar")

        def detect(self, photo, words, threshold):
            Seer.looks += 1
            if photo[20, 14].sum() == 0:
                return []
            left = np.zeros((48, 64), bool)
            left[10:30, 5:25] = True
            masks = [left] if Seer.looks == 1 else [left, left[:, ::-1]]
            found = masks if words != ["ghost"] else []
            return [Detection(0, 0.9, (0, 0, 1, 1), Mask.from_segmentation(mask)) for mask in found]

    monkeypatch.setattr(segmenter, "open_detector", lambda *_: Seer())
    monkeypatch.setattr(segmenter, "check_words", lambda name, words: Seer().check(words))
    return Seer
