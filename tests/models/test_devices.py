"""Nothing stays on the CPU when a model is elsewhere: the meta device refuses mixed tensors as a GPU does."""

import pytest
import torch

from everymask.models.load import build
from tests.models.test_picture_sizes import SMALL


@torch.inference_mode()
@pytest.mark.parametrize("kind", SMALL)
def test_a_model_runs_where_it_was_moved(kind):
    model = build(SMALL[kind]).to("meta")
    assert model.device.type == "meta"
    features = model.encode_image(torch.zeros(1, 3, 224, 224, device="meta"))
    points = torch.zeros(3, 1, 2, device="meta")
    arranged = model.arrange(points, torch.zeros(3, 1, dtype=torch.int32, device="meta"), None)
    masks = torch.zeros(3, 1, *model.logits_size, device="meta")
    decoded = model.decode(features, model.encode_prompts(*arranged, masks))
    assert decoded.mask_logits.device.type == "meta"
    chosen = model.choose(decoded, multimask=False)
    assert model.frame((30, 40)).upscale(chosen.mask_logits).shape == (3, 1, 30, 40)


def test_positions_follow_the_model():
    model = build(SMALL["hiera"]).to("meta")
    assert model.frame_position().device.type == "meta"
    assert model.prompts.grid_position().device.type == "meta"
    assert model.preprocess(torch.zeros(5, 6, 3, dtype=torch.uint8).numpy()).device.type == "meta"
