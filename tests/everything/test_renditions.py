"""Everything mode in several renditions of a photo: each mask knows its own, one object has one mask."""

from pathlib import Path

import numpy as np
import pytest
import torch

import everymask as em
from everymask.errors import OptionError
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.everything.renditions import Rendered, looks, resolved
from everymask.masks.boxes import iou_matrix
from everymask.media.renditions import rendered

PHOTO = Path(__file__).parents[2] / "everymask" / "assets" / "photo.jpg"
BOTH = "plain+inverted"


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(em.read_photo(PHOTO)[::3, ::3])


@pytest.fixture(scope="module")
def nano():
    torch.set_num_threads(1)
    return em.load("nano", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def findings(nano, photo):
    return AutomaticMaskGenerator(nano, points_per_side=6, renditions=BOTH).explore(photo)


def corners(masks):
    return np.array([[x, y, x + w, y + h] for x, y, w, h in (mask.bbox for mask in masks)], float)


def test_each_crop_is_looked_at_in_every_rendition():
    options = GeneratorOptions(crop_n_layers=1, renditions=BOTH)
    found = looks((100, 200), options)
    assert [look.rendition for look in found] == ["plain", "inverted"] * 5
    assert [look.window for look in found[::2]] == [look.window for look in found[1::2]]
    assert {look.rendition for look in looks((100, 200), GeneratorOptions())} == {None}


def test_crops_are_cut_from_the_photo_in_their_rendition(photo):
    cut = Rendered(photo).crop(Crop(10, 20, 50, 60, 1, "inverted"))
    assert np.array_equal(cut, rendered(photo, "inverted")[20:60, 10:50])


def test_masks_know_their_rendition_and_are_suppressed_across_them(nano, photo, findings):
    masks = AutomaticMaskGenerator(nano, points_per_side=6, renditions=BOTH).generate(photo)
    assert {mask.attributes["rendition"] for mask in masks} == {"plain", "inverted"}
    shared = iou_matrix(corners(masks), corners(masks)) - 2 * np.eye(len(masks))
    assert shared.max() <= findings.options.box_nms_thresh + 1e-6
    scores = [mask.predicted_iou for mask in masks]
    assert scores == sorted(scores, reverse=True)


def test_masks_of_an_inverted_photo_are_those_of_the_photo_inverted(nano, photo):
    asked = AutomaticMaskGenerator(nano, points_per_side=6, renditions="inverted").generate(photo)
    direct = AutomaticMaskGenerator(nano, points_per_side=6).generate(255 - photo)
    assert asked.to_dicts("coco_rle") == direct.to_dicts("coco_rle")
    assert all("rendition" not in mask.attributes for mask in direct)


def test_findings_answer_for_some_of_their_renditions(nano, photo, findings):
    plain = AutomaticMaskGenerator(nano, points_per_side=6).generate(photo)
    assert findings.masks(renditions="plain").to_dicts("coco_rle") == plain.to_dicts("coco_rle")
    with pytest.raises(OptionError, match="renditions decides what the model is asked"):
        findings.masks(renditions="plain+denoised")


def test_why_names_the_rendition_and_its_advice_brings_the_mask_back(findings):
    seen, brought = set(), 0
    for place in ((100, 67), (40, 100), (150, 30)):
        for reason in findings.why(*place)[:10]:
            seen.add(reason.rendition)
            assert reason.to_dict()["rendition"] == reason.rendition
            if reason.mask is None and reason.remedy is not None:
                wanted = findings.candidate(reason.candidate, **reason.remedy.changes)
                after = findings.masks(**reason.remedy.changes)
                keys = [(m.point_coords, m.predicted_iou, m.attributes["rendition"]) for m in after]
                assert (wanted.point_coords, wanted.predicted_iou, reason.rendition) in keys
                brought += 1
    assert seen == {"plain", "inverted"}
    assert brought > 3


def test_auto_is_decided_by_the_photo_and_kept_by_findings(nano, photo, tmp_path):
    grey = np.repeat(photo.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    auto = GeneratorOptions(renditions="auto")
    assert resolved(auto, photo).renditions == "plain"
    assert resolved(auto, grey).renditions.startswith(BOTH)
    found = AutomaticMaskGenerator(nano, points_per_side=2, renditions="auto").explore(grey)
    assert found.options.renditions.startswith(BOTH)
    again = em.Findings.load(found.save(tmp_path / "grey.findings"))
    assert [crop.rendition for crop in again.crops] == [crop.rendition for crop in found.crops]
    assert again.masks().to_dicts("coco_rle") == found.masks().to_dicts("coco_rle")


def test_renditions_and_gaps_are_kept_by_formats_that_hold_attributes(nano, photo, findings, tmp_path):
    generator = AutomaticMaskGenerator(nano, points_per_side=2, renditions=BOTH)
    filling = generator.fill_gaps(photo, em.MaskSet([], photo.shape[:2]))
    assert {mask.attributes["rendition"] for mask in filling.filled} <= {"plain", "inverted"}
    assert all("gap" in mask.attributes for mask in filling.filled)
    masks = findings.masks()
    masks.save(tmp_path / "masks.json", format="coco")
    back = em.read_masks(tmp_path / "masks.json", format="coco")
    assert [mask.attributes["rendition"] for mask in back] == [mask.attributes["rendition"] for mask in masks]
