"""Masks measured from low-resolution logits against the full-resolution tensors of the official steps."""

import pytest
import torch
from torch.nn import functional as F

from everymask.errors import InputError
from everymask.geometry import Letterbox, Squash
from everymask.masks import rle
from everymask.masks.boxes import box_of_mask
from everymask.masks.interpolation import formula_holds
from everymask.masks.upscaled import Upscaler, check_finite

SIZES = [(1200, 1800), (300, 200), (97, 301), (40, 30), (1, 5000), (1, 1), (2000, 31), (256, 256)]


def logits(count, side, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, side // 12 + 2, side // 12 + 2, generator=generator) * 8
    smooth = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)[:, 0]
    made = (smooth + 0.05 * torch.randn(count, side, side, generator=generator)).contiguous()
    made[0] = 5.0
    made[1] = -5.0
    made[2].clamp_(-3, -0.5)
    made[3].round_()  # many logits exactly at a threshold
    return made


def drawn(upscaler, one, threshold):
    (patch,) = upscaler.outlined(one[None], threshold, 0.5).patches
    mask, at_xy = upscaler.draw(patch.copied(), threshold)
    return rle.encode_at(mask, at_xy, upscaler.photo_hw)


@pytest.mark.parametrize("kind", [Letterbox, Squash])
@pytest.mark.parametrize("size", SIZES)
def test_areas_boxes_and_runs_are_those_of_the_full_size(kind, size):
    frame = kind(size, 256)
    low = logits(5, 64)
    upscaler = Upscaler((64, 64), frame.stretches)
    full = frame.upscale(low)
    found = upscaler.outlined(low, 0.0, 1.0)
    areas = upscaler.areas(found.patches, (-1, 0, 1))
    for area, threshold in zip(areas, (-1, 0, 1), strict=True):
        assert area.tolist() == (full > threshold).sum((1, 2)).tolist()
    assert upscaler.areas_of(low, (-1, 0, 1)).tolist() == areas.tolist()
    assert found.boxes.tolist() == [list(box_of_mask(m.numpy() > 0)) for m in full]
    for one, expected in zip(low, full, strict=True):
        assert drawn(upscaler, one, 0.0).same_as(rle.encode(expected.numpy() > 0))


@pytest.mark.parametrize("threshold", [-2.5, 0.3, 1.0])
def test_another_threshold(threshold):
    frame = Squash((150, 240), 256)
    low = logits(4, 64)
    upscaler = Upscaler((64, 64), frame.stretches)
    areas = upscaler.areas(upscaler.outlined(low, threshold, 0.25).patches, (threshold, threshold + 0.25))
    full = frame.upscale(low)
    assert areas[0].tolist() == (full > threshold).sum((1, 2)).tolist()
    assert areas[1].tolist() == (full > threshold + 0.25).sum((1, 2)).tolist()


@pytest.mark.parametrize("kind", [Letterbox, Squash])
@pytest.mark.parametrize("columns", [7, 1 << 15])
def test_masks_measured_together_are_those_measured_alone(kind, columns, monkeypatch):
    monkeypatch.setattr("everymask.masks.cells.COLUMNS_AT_ONCE", columns)
    upscaler = Upscaler((64, 64), kind((150, 240), 256).stretches)
    low = logits(6, 64, seed=3)
    together = upscaler.outlined(low, 0.0, 1.0)
    areas = upscaler.areas(together.patches, (-1, 0, 1))
    for number in range(len(low)):
        alone = upscaler.outlined(low[number : number + 1], 0.0, 1.0)
        assert together.boxes[number].tolist() == alone.boxes[0].tolist()
        assert areas[:, number].tolist() == upscaler.areas(alone.patches, (-1, 0, 1))[:, 0].tolist()
    assert len(set(areas[1].tolist())) > 3


@pytest.mark.parametrize("kind", [Letterbox, Squash])
def test_a_small_mask_keeps_a_small_patch_and_is_drawn_from_it(kind):
    frame = kind((700, 900), 256)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    low = 6 - ((y - 20) ** 2 + (x - 41) ** 2).sqrt()
    upscaler = Upscaler((64, 64), frame.stretches)
    assert drawn(upscaler, low, 0.0).same_as(rle.encode(frame.upscale(low[None])[0].numpy() > 0))
    (patch,) = upscaler.outlined(low[None], 0.0, 0.1).patches
    if not upscaler.plain:  # there a mask keeps all its logits
        assert patch.values.shape <= (17, 17)
        assert patch.bytes < 64 * 64 * 4 / 10


def test_this_machine_rounds_as_the_formula_says_or_takes_the_plain_way(monkeypatch):
    monkeypatch.setattr("everymask.masks.upscaled.formula_holds", lambda: False)
    frame = Squash((150, 240), 256)
    low = logits(4, 64)
    plain = Upscaler((64, 64), frame.stretches)
    assert plain.plain
    monkeypatch.undo()
    if not formula_holds():
        pytest.skip("this machine's bilinear kernel rounds in a way of its own")
    cells = Upscaler((64, 64), frame.stretches)
    assert not cells.plain
    a, b = plain.outlined(low, 0.0, 1.0), cells.outlined(low, 0.0, 1.0)
    assert a.boxes.tolist() == b.boxes.tolist()
    assert plain.areas(a.patches, (0,)).tolist() == cells.areas(b.patches, (0,)).tolist()


def test_no_masks_at_all():
    upscaler = Upscaler((64, 64), Squash((150, 240), 256).stretches)
    found = upscaler.outlined(torch.zeros(0, 64, 64), 0, 1)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert upscaler.areas(found.patches, (0, 1)).shape == (2, 0)


def test_nan_is_an_error_that_says_what_to_do():
    with pytest.raises(InputError, match="mask logits must be finite, got NaN"):
        check_finite(torch.tensor([1.0, float("nan")]), "mask logits")
    check_finite(torch.zeros(0), "mask logits")
