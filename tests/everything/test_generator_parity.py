"""Whole runs against both official generators, on seeded weights: small models by default.

Seeded weights draw masks across the whole photo, so suppression would leave one of them. It is switched
off here (box_nms_thresh=1) to compare every candidate, and on in a run of its own.
"""

from dataclasses import replace

import numpy as np
import pytest

from everymask.everything.generate import AutomaticMaskGenerator
from everymask.models.specs import MODELS
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.everything.generators import assert_same_masks, official_generator
from tests.parity import torchvision_standin
from tests.parity.official import seeded_pair

_HIERA = HieraSpec(16, 1, (1, 2, 2, 1), (4,), (7, 7))
pytestmark = [  # what the official packages themselves warn of
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

SMALL = {
    "sam": replace(MODELS["sam_vit_b"], image_size=128, trunk=ViTSpec(32, 2, 2, global_blocks=(1,))),
    "sam2": replace(MODELS["sam2.1_hiera_tiny"], image_size=256, trunk=_HIERA),
}
OPEN = {"points_per_side": 4, "pred_iou_thresh": 0.6, "stability_score_thresh": 0.4, "box_nms_thresh": 1.0}
GRID = [np.array([[0.2, 0.3], [0.9, 0.1], [0.5, 0.5]]), np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]])]
RUNS = {
    "plain": {},
    "with suppression": {"box_nms_thresh": 0.7, "points_per_side": 6},
    "one crop layer": {"points_per_side": 3, "crop_n_layers": 1, "crop_nms_thresh": 0.95},
    "two crop layers, fewer points": {
        "points_per_side": 4, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2, "crop_nms_thresh": 1.0,
    },
    "points of one's own": {"points_per_side": None, "point_grids": GRID[:2], "crop_n_layers": 1},
    "no filters": {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0},
    "another offset": {"stability_score_offset": 0.4, "stability_score_thresh": 0.8},
}  # fmt: skip
SAM_ONLY = {"small regions": {"min_mask_region_area": 30}}
SAM2_ONLY = {
    "m2m": {"use_m2m": True, "points_per_side": 3},
    "one mask a point": {"multimask_output": False},
    "one mask a point, m2m": {"multimask_output": False, "use_m2m": True, "points_per_side": 3},
    "another threshold": {"mask_threshold": 1.5},
}
PHOTOS = {
    "landscape": (97, 180),
    "portrait": (150, 60),
    "square": (128, 128),
    "tiny": (9, 7),
    "large": (300, 420),
}


@pytest.fixture(autouse=True)
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=SMALL)
def pair(request):
    torchvision_standin.install()
    spec = SMALL[request.param]
    return (spec, *seeded_pair(spec))


def both(pair, photo, options):
    spec, ours, official = pair
    given = {**OPEN, **options}
    theirs = official_generator(spec, official, output_mode="uncompressed_rle", **given).generate(photo)
    return AutomaticMaskGenerator(ours, **given).generate(photo).to_dicts("uncompressed_rle"), theirs


@pytest.mark.parametrize("run", RUNS)
def test_masks_equal_the_official_generators(pair, run):
    from tests.parity.conftest import seeded_photo

    ours, theirs = both(pair, seeded_photo(97, 180), RUNS[run])
    assert theirs
    assert_same_masks(ours, theirs)


@pytest.mark.parametrize("size", PHOTOS)
def test_masks_equal_at_every_photo_size(pair, size):
    from tests.parity.conftest import seeded_photo

    ours, theirs = both(pair, seeded_photo(*PHOTOS[size]), {})
    assert_same_masks(ours, theirs)


@pytest.mark.parametrize("run", [*SAM_ONLY, *SAM2_ONLY])
def test_options_of_one_family(pair, run):
    from tests.parity.conftest import seeded_photo

    wanted = "sam" if run in SAM_ONLY else "sam2"
    if pair[0].family != wanted:
        pytest.skip(f"an option of {wanted} only")
    ours, theirs = both(pair, seeded_photo(97, 180), {**SAM_ONLY, **SAM2_ONLY}[run])
    assert theirs
    assert_same_masks(ours, theirs)
