from dataclasses import replace

import pytest
import torch

from everymask.nn.mask_decoder import DecoderSpec, MaskDecoder

SMALL = DecoderSpec(heads=4, mlp_dim=32, iou_hidden_dim=16)
SMALL2 = replace(SMALL, iou_sigmoid=True, high_res=True, object_score=True)


def build(spec):
    torch.manual_seed(0)
    return MaskDecoder(32, spec).eval().requires_grad_(False)


def inputs(prompts, high_res=False, seed=1):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(1, 32, 4, 4, generator=generator)
    position = torch.randn(1, 32, 4, 4, generator=generator)
    sparse = torch.randn(prompts, 2, 32, generator=generator)
    fine = (
        torch.randn(1, 4, 16, 16, generator=generator),
        torch.randn(1, 8, 8, 8, generator=generator),
    )
    return image, position, sparse, fine if high_res else ()


@pytest.mark.parametrize("spec", [SMALL, SMALL2], ids=["sam", "sam2"])
@pytest.mark.parametrize("prompts", [0, 1, 5])
def test_shapes(spec, prompts):
    decoded = build(spec)(*inputs(prompts, spec.high_res))
    assert decoded.mask_logits.shape == (prompts, 4, 16, 16)
    assert decoded.iou.shape == (prompts, 4)
    assert decoded.mask_tokens.shape == (prompts, 4, 32)
    assert (decoded.object_logit is None) == (not spec.object_score)


@pytest.mark.parametrize("spec", [SMALL, SMALL2], ids=["sam", "sam2"])
def test_prompts_do_not_see_each_other(spec):
    decoder, (image, position, sparse, fine) = build(spec), inputs(5, spec.high_res)
    together = decoder(image, position, sparse, fine)
    for index in range(5):
        alone = decoder(image, position, sparse[index : index + 1], fine)
        torch.testing.assert_close(together.mask_logits[index], alone.mask_logits[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.iou[index], alone.iou[0])


@pytest.mark.parametrize("spec", [SMALL, SMALL2], ids=["sam", "sam2"])
def test_a_shared_image_gives_what_its_copies_give(spec):
    decoder, (image, position, sparse, fine) = build(spec), inputs(3, spec.high_res)
    shared = decoder(image, position, sparse, fine)
    copies = decoder(image.repeat(3, 1, 1, 1), position, sparse, tuple(x.repeat(3, 1, 1, 1) for x in fine))
    torch.testing.assert_close(shared.mask_logits, copies.mask_logits, atol=1e-5, rtol=1e-4)


def test_the_order_of_prompt_tokens_does_not_matter():
    decoder, (image, position, sparse, _) = build(SMALL), inputs(2)
    forth, back = decoder(image, position, sparse), decoder(image, position, sparse.flip(1))
    torch.testing.assert_close(forth.mask_logits, back.mask_logits, atol=1e-5, rtol=1e-4)


def test_an_image_need_not_be_square():
    decoder = build(SMALL)
    image, position = torch.randn(1, 32, 3, 5), torch.randn(1, 32, 3, 5)
    assert decoder(image, position, torch.randn(2, 1, 32)).mask_logits.shape == (2, 4, 12, 20)


def test_iou_estimates_of_sam2_lie_between_0_and_1():
    iou = build(SMALL2)(*inputs(50, high_res=True)).iou
    assert iou.min() > 0
    assert iou.max() < 1


def test_heads_kept_in_float32_make_float32_masks_of_a_bfloat16_image():
    decoder = build(SMALL).bfloat16()
    decoder.output_hypernetworks_mlps.float()
    decoder.iou_prediction_head.float()
    image, position, sparse, _ = (x.bfloat16() if isinstance(x, torch.Tensor) else x for x in inputs(2))
    decoded = decoder(image, position, sparse)
    assert decoded.mask_logits.dtype == decoded.iou.dtype == torch.float32
