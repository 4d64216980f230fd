"""nano's trained weights in the official sam2 code, side by side with ours on the bundled photo.

Trained weights put scores near thresholds, so sets may differ by a mask; each difference must then be
explained by a score that lies within rounding of a threshold (the flip audit).
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from everymask.everything.generate import AutomaticMaskGenerator
from everymask.masks import rle
from everymask.masks.scores import rle_iou
from everymask.models.specs import MODELS
from tests.everything.generators import flip_margin, matched, official_generator
from tests.parity import torchvision_standin

ASSETS = Path(__file__).parents[2] / "everymask" / "assets"
pytestmark = [
    pytest.mark.skipif(not (ASSETS / "nano.safetensors").exists(), reason="nano's weights are not there"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]
OPEN = {
    "points_per_side": 8,
    "pred_iou_thresh": 0.4,
    "stability_score_thresh": 0.6,
    "stability_score_offset": 0.3,
    "box_nms_thresh": 0.7,  # nano has its own
}
EPSILON = 1e-4
RUNS = {
    "plain": {},
    "m2m": {"use_m2m": True, "points_per_side": 4},
    # The official code fails where a crop has no mask at all: thresholds are low.
    "crops": {
        "crop_n_layers": 1,
        "points_per_side": 4,
        "pred_iou_thresh": 0.1,
        "stability_score_thresh": 0.1,
    },
}


@pytest.fixture(scope="module")
def pair():
    from everymask.models.load import load
    from everymask.models.weights import to_official
    from tests.parity.official import official_model

    torchvision_standin.install()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    ours = load("nano", device="cpu", dtype=torch.float32)
    official = official_model(MODELS["nano"])
    official.load_state_dict(to_official(ours))
    yield ours, official
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photo():
    from everymask.media.photos import read_photo

    return read_photo(ASSETS / "photo.jpg")


@pytest.mark.parametrize("run", RUNS)
def test_sets_match_one_to_one_and_differences_have_no_margin(pair, photo, run):
    ours, official = pair
    options = {**OPEN, **RUNS[run]}
    mine = AutomaticMaskGenerator(ours, **options).generate(photo).to_dicts("coco_rle")
    theirs = official_generator(MODELS["nano"], official, output_mode="coco_rle", **options).generate(photo)
    assert theirs
    common = matched(mine, theirs)
    for one, others in [(m, theirs) for m in mine] + [(t, mine) for t in theirs]:
        assert _found(one, others) or flip_margin(one, mine + theirs, options, photo.shape[:2]) < EPSILON
    assert common >= 0.95 * max(len(mine), len(theirs))


def test_every_candidate_is_the_same_before_suppression(pair, photo):
    ours, official = pair
    options = {**OPEN, "points_per_side": 5, "box_nms_thresh": 1.0}
    mine = AutomaticMaskGenerator(ours, **options).generate(photo).to_dicts("coco_rle")
    theirs = official_generator(MODELS["nano"], official, output_mode="coco_rle", **options).generate(photo)
    assert abs(len(mine) - len(theirs)) <= 1
    close = [_found(m, theirs, 0.999) for m in mine]
    assert np.mean(close) >= 0.98


def _found(one, others, least=0.9):
    runs = rle.from_coco(one["segmentation"])
    return any(
        o["point_coords"] == one["point_coords"] and rle_iou(runs, rle.from_coco(o["segmentation"])) >= least
        for o in others
    )
