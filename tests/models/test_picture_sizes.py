"""One checkpoint serves pictures of other sizes: `dataclasses.replace` on the spec, the same weights."""

from dataclasses import replace

import pytest
import torch

from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.tiny_vit import TinyViTSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.models.test_weights import TINY

SMALL = {
    "vit": replace(MODELS["sam_vit_b"], image_size=224, trunk=ViTSpec(32, 2, 2, global_blocks=(1,), grid=14)),
    "tiny_vit": replace(
        MODELS["mobile_sam"], image_size=224, trunk=TinyViTSpec((16, 16, 32, 32), (1, 1, 1, 1), (1, 1, 2, 2))
    ),
    "hiera": replace(
        MODELS["sam2.1_hiera_tiny"], image_size=224, trunk=HieraSpec(16, 1, (1, 1, 2, 1), (3,), (7, 7))
    ),
    "conv": replace(TINY, image_size=224),
}


@torch.inference_mode()
@pytest.mark.parametrize("size", [160, 224, 256, 352])
@pytest.mark.parametrize("kind", SMALL)
def test_weights_of_one_size_work_at_another(kind, size):
    state = to_official(build(SMALL[kind]))
    model = build(replace(SMALL[kind], image_size=size), state)
    photo = torch.randint(0, 256, (50, 70, 3), dtype=torch.uint8).numpy()
    features = model.encode_image(model.preprocess(photo)[None])
    assert features.embedding.shape[-2:] == model.embedding_size == (size // 16, size // 16)
    prompts = model.encode_prompts(*model.arrange(torch.full((2, 1, 2), 9.0), torch.ones(2, 1), None))
    decoded = model.choose(model.decode(features, prompts), multimask=True)
    assert decoded.mask_logits.shape == (2, 3, *model.logits_size)
    assert model.frame((50, 70)).upscale(decoded.mask_logits).shape == (2, 3, 50, 70)


@torch.inference_mode()
@pytest.mark.parametrize("kind", SMALL)
def test_features_of_a_batch_are_those_of_its_pictures(kind):
    model = build(SMALL[kind])
    pixels = torch.randn(3, 3, 224, 224)
    together = model.encode_image(pixels)
    assert len(together) == 3
    for index in range(3):
        alone = model.encode_image(pixels[index : index + 1])
        torch.testing.assert_close(together[index].embedding, alone.embedding, atol=1e-4, rtol=1e-3)
        for a, b in zip(together[index].high_res, alone.high_res, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["vit", "conv"])
def test_a_picture_for_each_prompt_gives_what_the_pictures_give_alone(kind):
    model = build(SMALL[kind])
    features = model.encode_image(torch.randn(2, 3, 224, 224))
    points, labels = model.arrange(torch.rand(2, 1, 2) * 224, torch.ones(2, 1), None)
    both = model.decode(features, model.encode_prompts(points, labels))
    for index in range(2):
        one = slice(index, index + 1)
        alone = model.decode(features[index], model.encode_prompts(points[one], labels[one]))
        torch.testing.assert_close(both.mask_logits[one], alone.mask_logits, atol=1e-4, rtol=1e-3)
