"""Many prompts that share what depends on the photo only get the masks of the plain decoder."""

import pytest
import torch

from everymask.nn.decode_many import WORTH_PREPARING
from tests.test_image import FAMILIES, noise, tiny_model


@pytest.fixture(params=FAMILIES)
def encoded(request):
    model = tiny_model(request.param).requires_grad_(False)
    return model, model.encode_image(model.preprocess(noise(70, 90))[None])


def prompts(model, count):
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(count, 2, 2, generator=generator) * 128
    labels = torch.randint(0, 2, (count, 2), generator=generator)
    return model.encode_prompts(*model.arrange(points, labels, None))


@pytest.mark.parametrize("count", [1, WORTH_PREPARING - 1, WORTH_PREPARING, 7])
def test_masks_scores_and_tokens_are_those_of_the_plain_decoder(encoded, count):
    model, features = encoded
    given = prompts(model, count)
    shared, plain = model.decode_many(features, given), model.decode(features, given)
    for mine, theirs in (
        (shared.mask_logits, plain.mask_logits),
        (shared.iou, plain.iou),
        (shared.mask_tokens, plain.mask_tokens),
    ):
        assert mine.shape == theirs.shape
        assert (mine - theirs).abs().max() < 2e-5 * max(1, theirs.abs().max())


@pytest.mark.parametrize("case", ["few", "masks", "bfloat16"])
def test_prompts_that_cannot_share_go_through_the_plain_decoder(encoded, case, monkeypatch):
    model, features = encoded
    given = prompts(model, 1 if case == "few" else 8)
    if case == "masks":
        size = model.logits_size
        points = torch.rand(8, 1, 2) * 128
        tokens = model.arrange(points, torch.ones(8, 1), None)
        given = model.encode_prompts(*tokens, torch.zeros(8, 1, *size))
    if case == "bfloat16":
        model = model.cast(torch.bfloat16)
    monkeypatch.setattr(model, "decode", lambda features, prompts: "plain")
    assert model.decode_many(features, given) == "plain"
