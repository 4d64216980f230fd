"""Photos with an ICC profile: pictures made of them have it too, or look pale on a wide screen."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

import everymask as em
from everymask.cli.main import run
from everymask.media.colour_profile import colour_profile, holds_profile, with_profile
from everymask.opencv import encoded

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
"""Any RGB profile: what stands in it does not matter."""
LONG = PROFILE + bytes(range(256)) * 600


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("profile", [PROFILE, LONG], ids=["short", "in three parts"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_profile_goes_into_the_bytes_of_a_picture_and_leaves_its_pixels(suffix, profile, dtype):
    if suffix == ".jpg" and dtype == np.uint16:
        pytest.skip("JPEG has 8 bits")
    pixels = (np.random.default_rng(0).random((20, 30, 3)) * np.iinfo(dtype).max).astype(dtype)
    plain = encoded(pixels, suffix)
    data = with_profile(plain, profile)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.info["icc_profile"] == profile
    before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), -1) for each in (plain, data))
    np.testing.assert_array_equal(after, before)
    assert after.dtype == dtype
    assert holds_profile(suffix)


def test_only_a_profile_of_the_pictures_own_channels_counts(tmp_path):
    grey = bytearray(PROFILE)
    grey[16:20] = b"GRAY"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", icc_profile=PROFILE)
    Image.new("L", (8, 8)).save(tmp_path / "g.png", icc_profile=bytes(grey))
    Image.new("RGB", (8, 8)).save(tmp_path / "n.png")
    (tmp_path / "broken.png").write_bytes(b"none")
    assert colour_profile(tmp_path / "a.png", 3) == PROFILE
    assert colour_profile(str(tmp_path / "a.png"), 1) is None
    assert colour_profile(tmp_path / "g.png", 1) == bytes(grey)
    assert colour_profile(tmp_path / "g.png", 3) is None
    for none in (tmp_path / "n.png", tmp_path / "broken.png", tmp_path / "missing.png", np.zeros((8, 8, 3))):
        assert colour_profile(none, 3) is None


def test_what_is_erased_cut_out_and_drawn_keeps_the_profile_of_the_photo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    Image.fromarray(photo).save("a.png", icc_profile=PROFILE)
    hole = np.zeros((40, 50), bool)
    hole[10:20, 10:30] = True
    Image.fromarray(hole).save("hole.png")
    em.MaskSet([em.Mask.from_segmentation(hole)]).save("masks.json", format="coco", photo="a.png")
    for name in ("e.png", "e.jpg", "e.tif"):
        assert run(["erase", "a.png", "--mask", "hole.png", "-o", name, "--engine", "opencv"]) == 0
        with Image.open(name) as picture:
            assert picture.info.get("icc_profile") == (None if name == "e.tif" else PROFILE)
    assert "tif is written without the photo's colour profile" in capsys.readouterr().err
    assert run(["convert", "masks.json", "--photos", ".", "--cutouts", "--overlay", "-o", "out"]) == 0
    made = sorted(path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".jpg"))
    assert len(made) == 2
    for path in made:
        with Image.open(path) as picture:
            assert picture.info["icc_profile"] == PROFILE
