"""Photo to model pixels and masks back, against the official transforms; one test for each trap.

The numbers of the traps are those of the list in the project's reference on the SAM family.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from everymask.geometry import Letterbox, Squash
from everymask.models import sam, sam2
from everymask.video.frames import frame_pixels

SIZES = [(1200, 900), (683, 1024), (1024, 1024), (17, 23), (3000, 4000)]


@pytest.fixture(params=SIZES, ids=lambda hw: f"{hw[0]}x{hw[1]}")
def photo(request, make_photo):
    return make_photo(*request.param)


@pytest.fixture
def letterbox_transform():
    pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    from segment_anything.utils.transforms import ResizeLongestSide

    return ResizeLongestSide(1024)


@pytest.fixture
def squash_transform(monkeypatch):
    pytest.importorskip("sam2", reason="sam2 is not installed")
    monkeypatch.setattr(torch.jit, "script", lambda module: module)  # deprecated, and the same without
    from sam2.utils.transforms import SAM2Transforms

    return SAM2Transforms(1024, mask_threshold=0.0)


def test_trap_1_sam_resizes_with_pil_on_uint8(photo, letterbox_transform):
    expected = letterbox_transform.apply_image(photo)
    ours = Letterbox(photo.shape[:2], 1024).resize(photo)
    assert np.array_equal(ours.permute(1, 2, 0).numpy(), expected)


def test_trap_1_a_float_resize_would_differ(make_photo):
    photo = make_photo(683, 1000)
    floats = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    frame = Letterbox((683, 1000), 1024)
    other = F.interpolate(floats, frame.resized_hw, mode="bilinear", align_corners=False, antialias=True)[0]
    assert (frame.resize(photo) - other).abs().max() > 0.4


def test_trap_1_padding_is_zero_after_normalising(make_photo):
    from everymask.models.specs import MODELS

    model = sam.Sam.__new__(sam.Sam)
    torch.nn.Module.__init__(model)
    model.spec = MODELS["sam_vit_b"]
    frame = Letterbox((300, 600), 1024)
    pixels = model.normalise(frame.resize(make_photo(300, 600)))
    assert pixels.shape == (3, 1024, 1024)
    assert pixels[:, 512:].abs().max() == 0.0
    assert pixels[:, :512].std() > 0.3


def test_trap_2_sam2_squashes_in_float_with_antialias(photo, squash_transform):
    expected = squash_transform(photo)
    squashed = Squash(photo.shape[:2], 1024).resize(photo)
    mean, std = torch.tensor(sam2.PIXEL_MEAN), torch.tensor(sam2.PIXEL_STD)
    ours = (squashed - mean[:, None, None]) / std[:, None, None]
    assert torch.equal(ours, expected)


def test_trap_2_resizing_without_antialias_would_differ(make_photo):
    photo = make_photo(1500, 2000)
    floats = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    plain = F.interpolate(floats, (1024, 1024), mode="bilinear", align_corners=False)[0]
    assert (Squash((1500, 2000), 1024).resize(photo) - plain).abs().max() > 0.02


def test_trap_3_frames_of_a_video_are_resized_with_pil_on_uint8(make_photo, tmp_path):
    misc = pytest.importorskip("sam2.utils.misc", reason="sam2 is not installed")
    photo = make_photo(90, 160)
    Image.fromarray(photo).save(tmp_path / "0.png")
    expected, *_ = misc._load_img_as_tensor(tmp_path / "0.png", 128)
    assert torch.equal(frame_pixels(photo, 128), expected.float())
    assert (frame_pixels(photo, 128) - Squash((90, 160), 128).resize(photo)).abs().max() > 0.01


def test_trap_4_sam_upscales_in_two_steps(photo):
    from segment_anything.modeling import Sam

    class Encoder(torch.nn.Module):
        img_size = 1024

    official = Sam(Encoder(), torch.nn.Identity(), torch.nn.Identity())
    frame = Letterbox(photo.shape[:2], 1024)
    logits = torch.randn(2, 1, 256, 256)
    expected = official.postprocess_masks(logits, frame.resized_hw, photo.shape[:2])
    assert torch.equal(frame.upscale(logits), expected)


def test_trap_4_sam_in_one_step_would_give_other_masks():
    frame, logits = Letterbox((300, 450), 1024), torch.randn(1, 1, 256, 256)
    height, width = frame.resized_hw
    direct = F.interpolate(logits[..., : height // 4, : width // 4], (300, 450), mode="bilinear")
    assert ((frame.upscale(logits) > 0) != (direct > 0)).float().mean() > 1e-3


def test_trap_4_sam2_upscales_in_one_float32_step(photo, squash_transform):
    logits = torch.randn(2, 1, 256, 256).bfloat16()
    expected = squash_transform.postprocess_masks(logits, photo.shape[:2])
    assert torch.equal(Squash(photo.shape[:2], 1024).upscale(logits), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trap_6_sam_points_are_scaled_in_float64(photo, letterbox_transform, dtype):
    height, width = photo.shape[:2]
    points = (np.random.default_rng(1).random((50, 2)) * [width, height]).astype(dtype)
    expected = letterbox_transform.apply_coords(points, (height, width))
    ours = Letterbox((height, width), 1024).to_model(points.astype(np.float64))
    assert np.array_equal(ours, expected)


def test_trap_6_scaling_in_float32_would_differ():
    frame, points = Letterbox((683, 1000), 1024), np.random.default_rng(1).random((500, 2)) * 683
    in_float32 = frame.to_model(points.astype(np.float32))
    assert not np.array_equal(frame.to_model(points).astype(np.float32), in_float32)


def test_sam_torch_points_are_those_of_the_official_torch_path(photo, letterbox_transform):
    height, width = photo.shape[:2]
    points = torch.rand(50, 2) * torch.tensor([width, height])
    expected = letterbox_transform.apply_coords_torch(points, (height, width))
    assert torch.equal(Letterbox((height, width), 1024).to_model(points), expected)


def test_sam2_points_are_the_official_ones(photo, squash_transform):
    height, width = photo.shape[:2]
    points = torch.rand(50, 2) * torch.tensor([width, height])
    expected = squash_transform.transform_coords(points, normalize=True, orig_hw=(height, width))
    assert torch.equal(Squash((height, width), 1024).to_model(points), expected)
