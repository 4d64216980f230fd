"""Every official encoder at 1024 px against the official code: minutes each, in ``make test-full``."""

import pytest
import torch

from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from tests.parity.conftest import seeded_photo
from tests.parity.official import seeded_pair

TOLERANCE = 1e-4  # of the reference's spread, in float32
NAMES = (
    "sam_vit_b",
    "sam_vit_l",
    "sam2.1_hiera_tiny",
    "sam2.1_hiera_small",
    "sam2.1_hiera_base_plus",
    "sam2.1_hiera_large",
)


@pytest.mark.full
@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_features_equal_the_official_ones(name):
    ours, official = seeded_pair(MODELS[name])
    official.load_state_dict(to_official(ours), strict=True)
    photo = torch.from_numpy(seeded_photo(1024, 1024).copy()).permute(2, 0, 1)
    pixels = ((photo.float() - 118) / 58)[None]
    if MODELS[name].family == "sam":
        got, want = [ours.encode_image(pixels).embedding], [official.image_encoder(pixels)]
    else:
        features = ours.encode_frame(pixels)
        got, want = [*features.high_res, features.embedding], official.forward_image(pixels)["backbone_fpn"]
    for one, other in zip(got, want, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() < TOLERANCE * other.std()
