import numpy as np
import pytest
import torch

from everymask.geometry import Letterbox, Squash


@pytest.mark.parametrize(
    ("photo_hw", "resized_hw"),
    [
        ((1200, 1800), (683, 1024)),  # 682.67 rounds up
        ((1800, 1200), (1024, 683)),
        ((1024, 1024), (1024, 1024)),
        ((1, 1), (1024, 1024)),
        ((1, 4096), (1, 1024)),  # a quarter of a pixel: the official code gives 0, and fails
        ((2, 4096), (1, 1024)),  # a half is rounded up
        ((3000, 4000), (768, 1024)),
    ],
)
def test_letterbox_side_is_rounded_half_up(photo_hw, resized_hw):
    assert Letterbox(photo_hw, 1024).resized_hw == resized_hw


def test_letterbox_scales_points_by_the_rounded_sizes():
    frame = Letterbox((1200, 1800), 1024)
    x, y = frame.to_model(np.array([1800.0, 1200.0]))
    assert (x, y) == (1024.0, 683.0)  # not 682.67


@pytest.mark.parametrize("frame", [Letterbox((600, 800), 1024), Squash((600, 800), 1024)])
def test_points_keep_their_type(frame):
    assert frame.to_model(np.zeros((3, 2))).dtype == np.float64
    assert frame.to_model(np.zeros((3, 2), np.float32)).dtype == np.float32
    assert frame.to_model(torch.zeros(3, 2, dtype=torch.float64)).dtype == torch.float64
    assert frame.to_model(torch.zeros(3, 2)).dtype == torch.float32
    assert frame.to_model(np.zeros((3, 2), np.int64)).dtype == np.float64


@pytest.mark.parametrize("frame", [Letterbox((600, 800), 1024), Squash((600, 800), 1024)])
def test_points_that_came_in_are_not_changed(frame):
    points = np.array([[10.0, 20.0]])
    frame.to_model(points)
    assert points.tolist() == [[10.0, 20.0]]


def test_squash_scales_each_side_on_its_own():
    assert Squash((100, 400), 1024).to_model(np.array([[400.0, 50.0]])).tolist() == [[1024.0, 512.0]]


def test_letterbox_upscale_cuts_the_padding_off():
    logits = torch.zeros(1, 4, 4)
    logits[:, 2:] = 100.0  # all of it in the padding of a photo twice as wide as high
    up = Letterbox((50, 100), 16).upscale(logits)
    assert up.shape == (1, 50, 100)
    assert up[0, :30].max() == 0.0
    assert up[0, -1].min() > 0.0  # the 256 -> 1024 step mixes across the padding's edge, as officially


def test_squash_upscale_keeps_the_whole_square():
    up = Squash((50, 100), 16).upscale(torch.eye(4)[None])
    assert up.shape == (1, 50, 100)
    assert up[0, 0, 0] == 1.0
    assert up[0, -1, -1] == 1.0


@pytest.mark.parametrize("frame", [Letterbox((5, 7), 16), Squash((5, 7), 16)])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (0, 3), (2, 1, 3)])
def test_upscale_keeps_leading_axes(frame, leading):
    assert frame.upscale(torch.zeros(*leading, 4, 4)).shape == (*leading, 5, 7)


@pytest.mark.parametrize("frame", [Letterbox((5, 7), 16), Squash((5, 7), 16)])
def test_half_precision_logits_are_upscaled_in_float32(frame):
    assert frame.upscale(torch.ones(2, 4, 4, dtype=torch.bfloat16)).dtype == torch.float32


def test_letterbox_resize_keeps_whole_values():
    photo = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    pixels = Letterbox((4, 6), 9).resize(photo)
    assert pixels.shape == (3, 6, 9)
    assert torch.equal(pixels, pixels.round())


def test_squash_resize_gives_shares_of_white():
    pixels = Squash((4, 6), 8).resize(np.full((4, 6, 3), 255, np.uint8))
    assert pixels.shape == (3, 8, 8)
    torch.testing.assert_close(pixels, torch.ones(3, 8, 8))


def test_squash_resize_of_a_photo_of_the_model_size_changes_nothing():
    photo = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    assert torch.equal(Squash((8, 8), 8).resize(photo), expected)


@pytest.mark.parametrize("photo_hw", [(150, 70), (64, 64), (65, 300), (10, 12), (1, 200), (200, 1)])
def test_squash_resize_in_bands_has_the_bits_of_the_whole_photo_at_once(photo_hw):
    photo = np.random.default_rng(0).integers(0, 256, (*photo_hw, 3), dtype=np.uint8)
    shares = torch.from_numpy(photo).permute(2, 0, 1).float().contiguous() / 255
    whole = torch.nn.functional.interpolate(
        shares[None], (48, 48), mode="bilinear", align_corners=False, antialias=True
    )[0]
    assert torch.equal(Squash(photo_hw, 48).resize(photo), whole)


def test_resize_takes_views_with_negative_strides():
    photo = np.zeros((4, 6, 3), np.uint8)[:, :, ::-1]
    assert Squash((4, 6), 8).resize(photo).shape == (3, 8, 8)
    assert Letterbox((4, 6), 8).resize(photo).shape == (3, 5, 8)


def test_resize_takes_read_only_photos():
    photo = np.zeros((4, 6, 3), np.uint8)
    photo.flags.writeable = False
    assert Squash((4, 6), 8).resize(photo).shape == (3, 8, 8)
    assert Letterbox((4, 6), 8).resize(photo).shape == (3, 5, 8)
