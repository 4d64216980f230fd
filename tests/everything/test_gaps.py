"""Regions without a mask: found, told of, asked about from inside."""

from pathlib import Path

import numpy as np
import pytest
import torch

import everymask as em
from everymask.everything.gaps import around
from everymask.masks import rle
from everymask.masks.innermost import innermost_points

PHOTO = Path(__file__).parents[2] / "everymask" / "assets" / "photo.jpg"


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(em.read_photo(PHOTO)[::2, ::2])


@pytest.fixture(scope="module")
def generator():
    torch.set_num_threads(1)
    nano = em.load("nano", device="cpu", dtype=torch.float32)
    return em.AutomaticMaskGenerator(nano, points_per_side=6, pred_iou_thresh=0.3)


def test_an_object_taken_away_is_found_again(generator, photo):
    masks = generator.generate(photo)
    large = max(masks, key=lambda mask: mask.area)
    without = masks.filter(lambda mask: not (mask.segmentation & large.segmentation).any())
    filling = generator.fill_gaps(photo, without)
    assert filling.masks.coverage > without.coverage + 0.05
    assert list(filling.masks[: len(without)]) == list(without)
    assert len(filling.masks) == len(without) + len(filling.filled)
    gaps = without.gaps()
    for mask in filling.filled:
        inside = mask.segmentation & gaps[mask.attributes["gap"] - 1].segmentation
        assert inside.sum() >= 0.6 * mask.area
        assert mask.predicted_iou > 0.6 * 0.3
    assert all(gap.attributes["reason"] for gap in filling.left)
    assert str(filling).startswith(f"coverage {without.coverage:.0%} -> {filling.masks.coverage:.0%} with ")


def test_no_gap_no_question(generator, photo):
    everything = em.MaskSet([em.Mask.from_segmentation(np.ones(photo.shape[:2], bool))])
    filling = generator.fill_gaps(photo, everything)
    assert (len(filling.masks), len(filling.filled), len(filling.left)) == (1, 0, 0)


def test_what_stays_empty_says_why(photo):
    nano = em.load("nano", device="cpu", dtype=torch.float32)
    limits = {"stability_score_thresh": 1.0, "pred_iou_thresh": 1.0}
    strict = em.AutomaticMaskGenerator(nano, points_per_side=2, **limits)
    filling = strict.fill_gaps(photo, em.MaskSet([], photo.shape[:2]), min_area=1000)
    assert len(filling.left) == 1
    gap = filling.left[0]
    assert gap.attributes["gap"] == 1
    assert "needs" in gap.attributes["reason"] or "covers the rest" in gap.attributes["reason"]


def test_findings_tell_of_gaps_with_reasons(generator, photo):
    findings = generator.explore(photo)
    gaps = findings.gaps(pred_iou_thresh=0.6)
    assert len(gaps) > 0
    masks = findings.masks(pred_iou_thresh=0.6)
    for gap in gaps:
        x, y = gap.attributes["at"]
        assert gap.segmentation[y, x]
        assert not any(mask.segmentation[y, x] for mask in masks)
        assert gap.attributes["reason"] != "kept"
    assert gaps.areas.tolist() == sorted(gaps.areas, reverse=True)
    assert masks.coverage + gaps.coverage <= 1


def test_innermost_points_keep_apart():
    region = np.zeros((30, 60), bool)
    region[2:27, 2:27] = True
    region[10:20, 40:50] = True
    points = innermost_points(region, 5)
    assert abs(points[0] - [14, 14]).max() <= 1
    assert any(abs(point - [44, 14]).max() <= 1 for point in points)
    assert all(region[y, x] for x, y in points)
    assert len(innermost_points(np.zeros((4, 4), bool), 3)) == 0


def test_closer_crop_holds_the_gap_in_the_photo():
    gap = np.zeros((200, 300), bool)
    gap[150:190, 10:40] = True
    crop = around(rle.encode(gap), (200, 300))
    assert (crop.x0, crop.y0) == (0, 120)
    assert crop.y1 == 200
    assert crop.of(gap).sum() == gap.sum()
    assert around(rle.encode(np.ones((200, 300), bool)), (200, 300)) is None
