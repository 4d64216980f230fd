"""How many pixels are decoded from one file, and how one allows more in the shell."""

import numpy as np
import pytest
from PIL import Image

from everymask import read_photo
from everymask.cli import main as cli
from everymask.errors import OptionError, PictureError


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photo of 600 pixels, three times what is decoded unasked."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save("a.png")
    return "a.png"


@pytest.mark.parametrize("asked", ["600", "601", " 1000 ", "1000000000000"])
def test_as_many_pixels_as_the_environment_says_are_decoded(photo, monkeypatch, asked):
    monkeypatch.setenv("EVERYMASK_MAX_PIXELS", asked)
    assert read_photo(photo).shape == (20, 30, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(("asked", "most"), [("", "200"), ("599", "599"), ("1", "1")])
def test_more_are_refused_with_what_to_type(photo, monkeypatch, capsys, asked, most):
    monkeypatch.setenv("EVERYMASK_MAX_PIXELS", asked)
    with pytest.raises(PictureError, match=f"has more than the {most} pixels that are decoded from one file"):
        read_photo(photo)
    assert cli.run(["predict", photo, "-p", "3,3"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "in the shell: export EVERYMASK_MAX_PIXELS=PIXELS" in said


@pytest.mark.parametrize("asked", ["lots", "1e9", "-5", "0", "1,000"])
def test_a_limit_that_is_no_number_is_said_not_ignored(photo, monkeypatch, capsys, asked):
    monkeypatch.setenv("EVERYMASK_MAX_PIXELS", asked)
    told = f"EVERYMASK_MAX_PIXELS must be a whole number of pixels, got {asked!r}"
    with pytest.raises(OptionError, match=told):
        read_photo(photo)
    assert cli.run(["predict", photo, "-p", "3,3"]) == 2
    assert capsys.readouterr().err == f"error: {told}; unset it, or fix it\n"
