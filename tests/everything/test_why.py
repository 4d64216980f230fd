"""Why a place has no mask: the rule in words, and advice that brings the mask back."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import everymask as em
from everymask.errors import InputError
from everymask.everything.why import Fate, loosened
from tests.everything.test_generate import seeded

PHOTO = Path(__file__).parents[2] / "everymask" / "assets" / "photo.jpg"
STRICT = {
    "pred_iou_thresh": 0.5,
    "stability_score_thresh": 0.9,
    "box_nms_thresh": 0.3,
    "crop_nms_thresh": 0.3,
}


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(em.read_photo(PHOTO)[::3, ::3])


@pytest.fixture(scope="module")
def findings(photo):
    torch.set_num_threads(1)
    nano = em.load("nano", device="cpu", dtype=torch.float32)
    return em.AutomaticMaskGenerator(nano, points_per_side=7, crop_n_layers=1).explore(photo)


def is_among(mask, masks):
    key = mask.point_coords, mask.predicted_iou, mask.runs.counts.tolist()
    return any((m.point_coords, m.predicted_iou, m.runs.counts.tolist()) == key for m in masks)


PLACES = [
    (20, 20),
    (100, 67),
    (150, 30),
    (60, 110),
    (180, 120),
    (33, 70),
    (120, 100),
    (90, 20),
    (10, 125),
    (195, 5),
]


@pytest.mark.parametrize("place", PLACES)
def test_advice_followed_brings_the_mask_back(place, findings):
    before = findings.masks(**STRICT)
    rules = set()
    for reason in findings.why(*place, **STRICT)[:12]:
        rules.add(reason.rule)
        mask = findings.candidate(reason.candidate, **STRICT)
        if reason.rule != "mask_threshold":
            assert mask.segmentation[place[1], place[0]]
        if reason.mask is not None:
            assert is_among(mask, before[reason.mask - 1 : reason.mask])
            assert reason.remedy is None
        elif reason.rule == "crop_edge":
            assert reason.remedy is None
        elif reason.remedy is None:  # it touches a crop's edge as well, which no threshold changes
            opened = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
            opened |= {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0}
            assert not is_among(mask, findings.masks(**{**STRICT, **opened}))
        else:
            assert not is_among(mask, before)
            changed = {**STRICT, **reason.remedy.changes}
            mask = findings.candidate(reason.candidate, **changed)
            after = findings.masks(**changed)
            assert is_among(mask, after)
            new = sum(not is_among(one, before) for one in after) - 1
            lost = sum(not is_among(one, after) for one in before)
            assert (reason.remedy.gained, reason.remedy.lost) == (new, lost)
    assert rules


def test_every_candidate_that_holds_the_place_is_told_of_best_first(findings):
    reasons = findings.why(100, 67, **STRICT)
    holding = [
        n for n in range(1, len(findings) + 1) if findings.candidate(n, **STRICT).segmentation[67, 100]
    ]
    assert sorted(reason.candidate for reason in reasons) == holding
    scores = [reason.predicted_iou for reason in reasons]
    assert scores == sorted(scores, reverse=True)
    assert {"pred_iou_thresh", "box_nms_thresh"} <= {reason.rule for reason in reasons}


def test_rules_are_told_in_words_and_numbers(findings):
    texts = {r.rule: r.text for place in PLACES for r in findings.why(*place, **STRICT)}
    assert texts["pred_iou_thresh"].startswith("predicted IoU 0.")
    assert texts["pred_iou_thresh"].endswith("needs more than 0.50")
    assert "at offset 0.3, needs 0.90" in texts["stability_score_thresh"]
    assert texts["box_nms_thresh"].startswith("suppressed by ")
    assert texts["box_nms_thresh"].endswith("allowed is 0.30")
    assert texts["crop_edge"].startswith("touches a crop's edge (")


def test_pixels_decide_where_asked(findings):
    options = {"box_nms_thresh": 0.9, "mask_nms_thresh": 0.3, "pred_iou_thresh": 0.2}
    reasons = [r for place in PLACES for r in findings.why(*place, **options) if r.rule == "mask_nms_thresh"]
    assert reasons
    assert "pixel IoU" in reasons[0].text
    changes = reasons[0].remedy.changes
    assert set(changes) == {"mask_nms_thresh"}
    assert is_among(findings.candidate(reasons[0].candidate), findings.masks(**{**options, **changes}))


def test_place_that_no_candidate_holds_is_told_the_nearest(findings):
    options = {"mask_threshold": 40.0}  # above any logit
    reasons = findings.why(*PLACES[0], **options)
    assert 0 < len(reasons) <= 5
    assert {reason.rule for reason in reasons} == {"mask_threshold"}
    assert all(reason.value <= 40.0 for reason in reasons)
    for reason in reasons:
        if reason.remedy is not None:
            changed = {**options, **reason.remedy.changes}
            assert findings.candidate(reason.candidate, **changed).segmentation[PLACES[0][1], PLACES[0][0]]


def test_small_regions_of_sam(photo):
    findings = em.AutomaticMaskGenerator(
        seeded("sam"), points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=0.95
    ).explore(photo)
    options = {"min_mask_region_area": 4000}
    reasons = [r for place in PLACES for r in findings.why(*place, **options)]
    dropped = [r for r in reasons if r.rule == "min_mask_region_area"]
    for reason in dropped:
        assert reason.remedy.changes["min_mask_region_area"] == 0.0
    assert all(r.remedy is None or r.mask is None for r in reasons)


def test_reasons_as_json(findings):
    facts = [reason.to_dict() for reason in findings.why(*PLACES[1], **STRICT)[:3]]
    assert json.loads(json.dumps(facts, allow_nan=False)) == json.loads(json.dumps(facts))
    assert facts[0]["candidate"] >= 1


def test_places_outside_the_photo_are_refused(findings):
    with pytest.raises(InputError, match=r"x from 0 to 199 and y to 133; got \(200, 5\)"):
        findings.why(200, 5)
    with pytest.raises(InputError, match="numbered from 1 to 735, got 0"):
        findings.candidate(0)


@pytest.mark.parametrize(
    ("fate", "change"),
    [
        (Fate("pred_iou_thresh", 0.75, 0.88), ("pred_iou_thresh", 0.749)),
        (Fate("pred_iou_thresh", 0.0, 0.88), ("pred_iou_thresh", 0.0)),
        (Fate("stability_score_thresh", 0.75, 0.9), ("stability_score_thresh", 0.75)),
        (Fate("stability_score_thresh", math.nan, 0.9), ("stability_score_thresh", 0.0)),
        (Fate("box_nms_thresh", 0.75, 0.7, 3), ("box_nms_thresh", 0.75)),
        (Fate("crop_nms_thresh", 1.0, 0.7, 3), ("crop_nms_thresh", 1.0)),
        (Fate("mask_threshold", -0.5, 0.0), ("mask_threshold", -0.501)),
        (Fate("crop_edge", 3.0, 20.0), None),
    ],
)
def test_a_threshold_moves_as_little_as_three_digits_allow(fate, change):
    assert loosened(fate) == change
