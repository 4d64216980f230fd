from pathlib import Path

import numpy as np
import pytest

from everymask.errors import OptionError
from everymask.everything.options import GeneratorOptions, options_table
from everymask.everything.presets import PRESETS, preset_options
from everymask.models.specs import MODELS

GRID = np.array([[0.5, 0.5]])

WRONG = [
    ({"points_per_side": 0}, r"points_per_side must be at least 1, got 0"),
    ({"points_per_side": 2.5}, r"points_per_side must be a whole number, got 2\.5"),
    ({"points_per_side": None}, r"give either points_per_side or point_grids, got neither"),
    ({"points_per_side": 4, "point_grids": [GRID]}, r"got both"),
    ({"points_per_batch": 0}, r"points_per_batch must be at least 1"),
    ({"pred_iou_thresh": 1.2}, r"pred_iou_thresh must be between 0 and 1, got 1\.2"),
    ({"pred_iou_thresh": "high"}, r"pred_iou_thresh must be a number, got 'high'"),
    ({"stability_score_thresh": -0.1}, r"stability_score_thresh must be between 0 and 1"),
    ({"stability_score_offset": -1}, r"stability_score_offset must be at least 0"),
    ({"mask_threshold": float("nan")}, r"mask_threshold must be a number, got nan"),
    ({"box_nms_thresh": 7}, r"box_nms_thresh must be between 0 and 1"),
    ({"crop_n_layers": -1}, r"crop_n_layers must be between 0 and 8"),
    ({"crop_n_layers": True}, r"crop_n_layers must be a whole number"),
    ({"crop_overlap_ratio": 2}, r"crop_overlap_ratio must be between 0 and 1"),
    ({"crop_n_points_downscale_factor": 0}, r"crop_n_points_downscale_factor must be at least 1"),
    ({"min_mask_region_area": -5}, r"min_mask_region_area must be at least 0"),
    (
        {"output_mode": "png"},
        r"output_mode must be one of binary_mask, uncompressed_rle, coco_rle, got 'png'",
    ),
    ({"effort": "slow"}, r"effort must be one of exact, bf16, fast, got 'slow'"),
    ({"preset": "moon"}, r"preset must be one of objects, parts, everything, cells, aerial; got 'moon'"),
    ({"preset": ["cells"]}, r"preset must be one of .*; got \['cells'\]"),
    ({"renditions": "sepia"}, r"renditions must be some of plain, .*; got 'sepia'"),
    ({"use_m2m": 1}, r"use_m2m must be True or False, got 1"),
    ({"points_per_side": None, "point_grids": GRID}, r"must be a list with one array"),
    ({"points_per_side": None, "point_grids": [GRID], "crop_n_layers": 1}, r"one per crop layer, 2; got 1"),
    ({"points_per_side": None, "point_grids": [GRID * 300]}, r"shares of the photo's sides, 0 to 1; divide"),
    (
        {"points_per_side": None, "point_grids": [np.zeros((3, 3))]},
        r"point_grids\[0\] must have shape \(N, 2\)",
    ),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_option_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        GeneratorOptions(**options)


def test_unknown_option_is_named_with_a_guess():
    with pytest.raises(
        OptionError, match=r"unknown option pred_iou_tresh \(did you mean pred_iou_thresh\?\)"
    ):
        GeneratorOptions.for_model({}, {"pred_iou_tresh": 0.5})


def test_model_defaults_give_way_to_what_is_given():
    assert GeneratorOptions.for_model({"pred_iou_thresh": 0.8}, {}).pred_iou_thresh == 0.8
    assert (
        GeneratorOptions.for_model({"pred_iou_thresh": 0.8}, {"pred_iou_thresh": 0.5}).pred_iou_thresh == 0.5
    )
    assert GeneratorOptions.for_model({}, {}).pred_iou_thresh == 0.88


def test_own_grids_stand_in_for_points_per_side():
    assert GeneratorOptions.for_model({}, {"point_grids": [GRID]}).points_per_side is None


def test_docs_hold_the_table_made_from_the_fields():
    page = Path(__file__).parents[2] / "docs" / "everything.md"
    assert options_table() in page.read_text("utf-8")


def test_a_preset_goes_before_a_models_defaults_and_after_what_is_given():
    cells = PRESETS["cells"].options
    name, value = next(iter(cells.items()))
    model = {name: 0.9, "stability_score_offset": 0.3}
    found = GeneratorOptions.for_model(model, {"preset": "cells"})
    assert (getattr(found, name), found.stability_score_offset, found.preset) == (value, 0.3, "cells")
    assert getattr(GeneratorOptions.for_model(model, {"preset": "cells", name: 0.8}), name) == 0.8


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", ["", *dict.fromkeys(n for p in PRESETS.values() for n in p.of_model)])
def test_presets_hold_options_that_are_allowed(preset, model):
    chosen = preset_options(preset, model)
    found = GeneratorOptions.for_model({}, {"preset": preset}, model)
    assert {name: getattr(found, name) for name in chosen} == chosen
    assert set(PRESETS[preset].of_model) <= set(MODELS)


def test_renditions_are_said_in_one_way():
    for said in ("plain+inverted", ["plain", "inverted"], "plain, inverted"):
        assert GeneratorOptions(renditions=said).renditions == "plain+inverted"
