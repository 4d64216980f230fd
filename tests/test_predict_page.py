"""The examples of docs/predict.md run as they stand, in one session."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import everymask as em
from tests.fakes import FakeModel

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/predict.md").read_text("utf-8")
NANO = ROOT / "everymask/assets/nano.safetensors"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Every example run in order; the names they left."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(ROOT / "everymask/assets/photo.jpg", folder / "photo.jpg")
    names = {"em": em}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if not NANO.exists():
            patch.setattr(em, "load", lambda name: FakeModel("sam2", image_size=256), raising=False)
        for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
            exec(compile(block, "docs/predict.md", "exec"), names)
    return names


def test_every_example_of_the_page_runs(session):
    height, width = session["predictor"].photo_sizes[0]
    assert session["answer"].masks.shape == (3, height, width)
    assert session["answers"].masks.shape == (3, 3, height, width)
    assert (session["height"], session["width"]) == (height, width)


def test_features_put_back_answer_alike(session):
    again = session["later"].predict(points=[(300, 200)])
    assert (again.masks != session["answer"].masks).mean() < 1e-4


def test_a_microscopes_range_is_used(session):
    assert (session["photo"].shape, session["photo"].dtype) == ((200, 300, 3), np.uint8)
    assert (session["photo"].min(), session["photo"].max()) == (0, 255)
