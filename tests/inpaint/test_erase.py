"""Things are taken out of photos: what is outside of the mask stays to the bit, at any depth."""

import numpy as np
import pytest

import everymask as em
from everymask.cli.main import run
from everymask.errors import OptionError, PictureError, PromptError
from everymask.inpaint.classic import Patches, Telea
from everymask.inpaint.engines import ENGINES, default_engine, open_engine
from everymask.inpaint.erase import fading, grown, pieces, raw_pixels
from everymask.inpaint.patches import doubled, halved
from everymask.inpaint.writing import file_for, write_picture

ENGINE_NAMES = ("opencv", "patches")


def striped(height=80, width=120) -> np.ndarray:
    """Vertical stripes, 8 pixels each, in two colours: what continues is known."""
    dark = (np.arange(width) // 8 % 2).astype(bool)
    row = np.where(dark[:, None], (40, 60, 90), (200, 180, 120)).astype(np.uint8)
    return np.repeat(row[None], height, axis=0)


def middle(hw, size=16) -> np.ndarray:
    mask = np.zeros(hw, bool)
    y, x = hw[0] // 2, hw[1] // 2
    mask[y - size // 2 : y + size // 2, x - size // 2 : x + size // 2] = True
    return mask


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_outside_of_the_mask_every_bit_stays_at_any_depth(engine, dtype, channels):
    random = np.random.default_rng(0)
    shape = (60, 70, channels) if channels else (60, 70)
    photo = (random.random(shape) * 250 * (100 if dtype != np.uint8 else 1)).astype(dtype)
    mask = middle((60, 70))
    before = photo.copy()
    result = em.erase(photo, mask, engine=engine, grow=0)
    assert result.dtype == dtype
    assert result.shape == photo.shape
    np.testing.assert_array_equal(result[~mask], photo[~mask])
    np.testing.assert_array_equal(photo, before)  # the caller's array is not written into
    assert (result[mask] != photo[mask]).any()


def test_a_grown_mask_bounds_what_changes_and_its_rim_fades():
    photo = striped()
    mask = middle(photo.shape[:2])
    photo[mask] = (255, 0, 0)
    result = em.erase(photo, mask, engine="opencv", grow=5)
    np.testing.assert_array_equal(result[~grown(mask, 5)], photo[~grown(mask, 5)])
    share = fading(mask, grown(mask, 5))
    assert share[mask].min() == 1
    assert share[~grown(mask, 5)].max() == 0
    rim = share[grown(mask, 5) & ~mask]
    assert rim.min() > 0
    assert rim.max() < 1


def test_halves_of_odd_sides_stay_where_they_were():
    ramp = np.tile(np.arange(9, dtype=np.float32)[None, :, None], (7, 1, 1))
    values, missing = halved(ramp, np.zeros((7, 9), bool))
    assert values[0, :, 0].tolist() == [0.5, 2.5, 4.5, 6.5, 8.0]
    assert values.shape == (4, 5, 1)
    assert missing.shape == (4, 5)
    np.testing.assert_allclose(doubled(values, (7, 9))[3, 1:7, 0], np.arange(1, 7))


def test_patches_continue_stripes_that_telea_smears():
    truth = striped()
    mask = middle(truth.shape[:2], 24)
    photo = np.where(mask[..., None], 255, truth).astype(np.uint8)
    errors = {
        name: np.abs(em.erase(photo, mask, engine=name, grow=0)[mask].astype(int) - truth[mask]).mean()
        for name in ENGINE_NAMES
    }
    assert errors["patches"] < 2
    assert errors["opencv"] > 10 * errors["patches"]


def test_what_the_hole_held_does_not_shine_through():
    truth = striped()
    mask = middle(truth.shape[:2])
    results = [
        em.erase(np.where(mask[..., None], value, truth).astype(np.uint8), mask, engine=name, grow=0)
        for value in (0, 255)
        for name in ENGINE_NAMES
    ]
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])


def test_the_same_photo_and_mask_give_the_same_result():
    photo, mask = np.random.default_rng(1).integers(0, 255, (60, 60, 3), np.uint8), middle((60, 60))
    np.testing.assert_array_equal(em.erase(photo, mask), em.erase(photo, mask))


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_masks_at_edges_nearly_all_and_of_one_pixel(engine):
    photo = np.random.default_rng(2).integers(0, 255, (40, 50, 3), np.uint8)
    for mask in (np.zeros((40, 50), bool) for _ in range(4)):
        mask[:5] = True
        assert em.erase(photo, mask, engine=engine).shape == photo.shape
    corner = np.zeros((40, 50), bool)
    corner[-3:, -3:] = True
    one = np.zeros((40, 50), bool)
    one[20, 20] = True
    nearly = np.ones((40, 50), bool)
    nearly[0, 0] = False
    for mask in (corner, one, nearly):
        result = em.erase(photo, mask, engine=engine, grow=0)
        np.testing.assert_array_equal(result[~mask], photo[~mask])


@pytest.mark.parametrize("hw", [(1, 9), (3, 3), (7, 2)])
def test_tiny_photos_are_filled(hw):
    photo = np.full((*hw, 3), 90, np.uint8)
    mask = np.zeros(hw, bool)
    mask[0, 0] = True
    photo[0, 0] = 255
    assert 88 <= em.erase(photo, mask, grow=0)[0, 0].max() <= 92  # not the 255 that was there


def test_far_parts_of_a_mask_are_filled_apart_and_near_ones_together():
    mask = np.zeros((1000, 1000), bool)
    mask[10:20, 10:20] = mask[900:910, 900:910] = True
    assert len(list(pieces(mask))) == 2
    mask[60:70, 60:70] = True
    windows = list(pieces(mask))
    assert len(windows) == 2
    assert sum(inner.sum() for _, inner, _ in windows) == mask.sum()


def test_masks_come_in_every_form():
    photo, pixels = striped(), middle((80, 120))
    mask = em.Mask.from_segmentation(pixels)
    expected = em.erase(photo, pixels, engine="opencv")
    for other in (mask, em.MaskSet([mask]), pixels.astype(np.uint8) * 255, pixels[..., None]):
        np.testing.assert_array_equal(em.erase(photo, other, engine="opencv"), expected)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((80, 120), bool), "the mask is empty"),
        (np.ones((80, 120), bool), "covers the whole photo"),
        (np.ones((8, 12), bool), r"must have the photo's shape \(80, 120\)"),
        (np.ones((80, 120, 3), bool), r"must have the photo's shape \(80, 120\)"),
    ],
)
def test_wrong_masks_are_told(mask, said):
    with pytest.raises(PromptError, match=said):
        em.erase(striped(), mask)


def test_wrong_photos_engines_and_growth_are_told():
    mask = middle((80, 120))
    with pytest.raises(PictureError, match=r"must have shape \(H, W\)"):
        em.erase(np.zeros((80, 120, 7), np.uint8), mask)
    with pytest.raises(PictureError, match="finite"):
        em.erase(np.full((80, 120), np.nan), mask)
    with pytest.raises(PictureError, match="a path, an array or a PIL picture"):
        em.erase(7, mask)
    with pytest.raises(OptionError, match="engine must be one of opencv, patches, migan, lama"):
        em.erase(striped(), mask, engine="magic")
    with pytest.raises(OptionError, match="grow must be at least 0"):
        em.erase(striped(), mask, grow=-1)


def test_an_engine_of_ones_own_is_called_with_the_crop_and_must_keep_its_shape():
    class Grey:
        def fill(self, picture, hole):
            assert picture.dtype == np.float32
            assert hole.dtype == bool
            return np.full_like(picture, 128)

    class Wrong:
        def fill(self, picture, hole):
            return picture[:1]

    mask = middle((80, 120))
    assert (em.erase(striped(), mask, engine=Grey(), grow=0)[mask] == 128).all()
    with pytest.raises(OptionError, match="must keep the picture's shape"):
        em.erase(striped(), mask, engine=Wrong())


def test_without_weights_patches_are_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path))
    assert default_engine() == "patches"
    assert isinstance(open_engine(), Patches)
    assert isinstance(open_engine("opencv"), Telea)
    assert all(entry.licence for entry in ENGINES.values())


def test_a_file_keeps_its_depth(tmp_path):
    from PIL import Image

    deep = (np.random.default_rng(3).random((50, 60)) * 60000).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    mask = middle((50, 60))
    result = em.erase(tmp_path / "deep.png", mask, grow=0)
    assert result.dtype == np.uint16 or result.dtype == np.int32
    np.testing.assert_array_equal(result[~mask], deep[~mask])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pixels_of_any_depth_are_written_to_the_bit(tmp_path, dtype, channels, name):
    noise = np.random.default_rng(4).normal(size=(30, 40, channels)) * 1000
    pixels = (noise if np.dtype(dtype).kind == "f" else noise.astype(np.int64)).astype(dtype)
    written = write_picture(tmp_path / name, pixels)
    assert written == file_for(tmp_path / name, pixels)
    assert (written.suffix == ".png") == (name == "a.png" and dtype in ("uint8", "uint16"))
    np.testing.assert_array_equal(raw_pixels(written).reshape(pixels.shape), pixels)


def test_a_photo_of_one_bit_stays_a_png(tmp_path):
    bits = np.random.default_rng(6).random((30, 40)) < 0.5
    assert file_for(tmp_path / "a.png", bits) == tmp_path / "a.png"
    written = write_picture(tmp_path / "a.png", bits)
    np.testing.assert_array_equal(raw_pixels(written), bits.astype(np.uint8) * 255)


def test_a_deep_photo_does_not_land_on_another_file_of_its_new_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    deep = np.random.default_rng(5).random((40, 50, 3)).astype(np.float32)
    write_picture(tmp_path / "deep.tif", deep)
    write_picture(tmp_path / "mask.png", middle((40, 50)).astype(np.uint8) * 255)
    (tmp_path / "out.tif").write_bytes(b"mine")
    command = ["erase", "deep.tif", "--mask", "mask.png", "-o", "out.png", "--grow", "0"]
    assert run(command) == 2
    assert "out.tif is there already" in capsys.readouterr().err
    assert (tmp_path / "out.tif").read_bytes() == b"mine"
    assert run([*command, "--overwrite"]) == 0
    assert "png cannot hold float32 values; the picture goes to out.tif" in capsys.readouterr().err
    outside = ~middle((40, 50))
    np.testing.assert_array_equal(raw_pixels(tmp_path / "out.tif")[outside], deep[outside])
