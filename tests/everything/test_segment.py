"""The one-liner, with a generator that only notes what it was given."""

import importlib

import numpy as np
import pytest
from PIL import Image

from everymask.errors import PictureError
from everymask.maskset import MaskSet
from tests.fakes import FakeModel

# Not `import ... as`: everymask.segment is the function, and so is the name in the package.
module = importlib.import_module("everymask.everything.segment")
PHOTO = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def noted(monkeypatch):
    """What the generator and the loader were asked for."""
    calls = {"loaded": [], "models": [], "options": [], "photos": []}

    class Generator:
        def __init__(self, model, **options):
            calls["models"].append(model)
            calls["options"].append(options)

        def generate(self, photo, progress=None):
            calls["photos"].append(photo)
            return MaskSet([], photo.shape[:2])

    def load(name, device=None):
        calls["loaded"].append((name, device))
        return FakeModel()

    monkeypatch.setattr(module, "AutomaticMaskGenerator", Generator)
    monkeypatch.setattr(module, "load", load)
    module.loaded.cache_clear()
    yield calls
    module.loaded.cache_clear()


def test_model_is_nano_and_options_go_to_the_generator(noted):
    masks = module.segment(PHOTO, points_per_side=4)
    assert masks.photo_hw == (4, 4)
    assert noted["loaded"] == [("nano", None)]
    assert noted["options"] == [{"points_per_side": 4}]
    np.testing.assert_array_equal(noted["photos"][0], PHOTO)


def test_same_model_is_loaded_once_and_another_replaces_it(noted):
    for name in ("nano", "nano", "sam_vit_b", "nano"):
        module.segment(PHOTO, name)
    assert [name for name, _ in noted["loaded"]] == ["nano", "sam_vit_b", "nano"]


def test_device_is_part_of_what_is_remembered(noted):
    module.segment(PHOTO, device="cpu")
    module.segment(PHOTO)
    assert noted["loaded"] == [("nano", "cpu"), ("nano", None)]


def test_a_loaded_model_is_used_as_it_is(noted):
    model = FakeModel()
    module.segment(PHOTO, model)
    assert noted["loaded"] == []
    assert noted["models"] == [model]


def test_paths_and_pil_pictures_are_read(noted, tmp_path):
    picture = Image.fromarray(PHOTO)
    picture.save(tmp_path / "photo.png")
    module.segment(tmp_path / "photo.png")
    module.segment(picture)
    for photo in noted["photos"]:
        np.testing.assert_array_equal(photo, PHOTO)


def test_wrong_photo_is_said_before_a_model_is_loaded(noted):
    with pytest.raises(PictureError):
        module.segment(np.zeros((4, 4, 7), np.uint8), "sam_vit_h")
    assert noted["loaded"] == []


def test_list_of_photos_gives_a_list_and_loads_the_model_once(noted, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    results = module.segment([PHOTO, tmp_path / "a.png"])
    assert [masks.photo_hw for masks in results] == [(4, 4), (4, 4)]
    assert results[0].photo is PHOTO
    assert results[1].photo == tmp_path / "a.png"
    assert len(noted["loaded"]) == 1
    assert module.segment([]) == []


def test_broken_photo_in_a_list_is_named_before_any_is_segmented(noted):
    with pytest.raises(PictureError, match="photo 2 of the list: "):
        module.segment([PHOTO, "nothing.jpg"])
    assert noted["photos"] == []
