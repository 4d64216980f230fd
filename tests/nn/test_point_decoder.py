"""The decoder in factors against the plain one: both against float64."""

from __future__ import annotations

import copy

import pytest
import torch

from everymask.models.specs import MODELS
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.point_decoder import PointDecoder
from everymask.nn.prompt_encoder import PromptEncoder

SIDE, PROMPTS = 16, 5


def parts(name, mask_prompts):
    torch.manual_seed(0)
    spec = MODELS[name]
    dim = spec.embed_dim
    decoder = MaskDecoder(dim, spec.decoder).eval().requires_grad_(False)
    encoder = PromptEncoder(dim=dim, embedding_hw=(SIDE, SIDE), image_size=16 * SIDE).requires_grad_(False)
    image = torch.randn(1, dim, SIDE, SIDE)
    high_res = ()
    if spec.decoder.high_res:
        high_res = torch.randn(1, dim // 8, 4 * SIDE, 4 * SIDE), torch.randn(1, dim // 4, 2 * SIDE, 2 * SIDE)
    points = torch.cat([torch.rand(PROMPTS, 1, 2) * 16 * SIDE, torch.zeros(PROMPTS, 1, 2)], dim=1)
    masks = torch.randn(PROMPTS, 1, 4 * SIDE, 4 * SIDE) * 6 if mask_prompts else None
    prompts = encoder(points, torch.tensor([[1, -1]]).repeat(PROMPTS, 1), masks)
    return decoder, encoder, image, high_res, prompts, masks


def plain(decoder, encoder, image, high_res, prompts, dtype):
    dense = encoder.no_mask() if prompts.dense is None else prompts.dense
    return copy.deepcopy(decoder).to(dtype)(
        (image + dense).to(dtype),
        encoder.grid_position().to(dtype),
        prompts.sparse.to(dtype),
        tuple(x.to(dtype) for x in high_res),
    )


def folded(decoder, encoder, image, high_res, prompts, masks, work=torch.float32):
    if masks is None:
        added, basis, factors = encoder.no_mask(), None, None
    else:
        last = encoder.mask_downscaling[-1]
        added, basis = last.bias[None, :, None, None], last.weight.flatten(1).T
        factors = encoder.mask_downscaling[:-1](masks).flatten(2)
    points = PointDecoder.prepare(
        decoder, image + added, encoder.grid_position(), high_res, mask_basis=basis, work=work
    )
    attended = points.attend(prompts.sparse, factors)
    logits = torch.stack([points.masks(attended, p, range(4)) for p in range(PROMPTS)])
    return attended, logits


def error(value, truth):
    return float((value - truth).abs().max() / truth.std())


@pytest.mark.parametrize("mask_prompts", [False, True])
@pytest.mark.parametrize("name", ["sam_vit_b", "sam2.1_hiera_tiny", "nano"])
def test_error_is_no_more_than_twice_the_plain_decoders(name, mask_prompts):
    decoder, encoder, image, high_res, prompts, masks = parts(name, mask_prompts)
    truth = plain(decoder, encoder, image, high_res, prompts, torch.float64)
    usual = plain(decoder, encoder, image, high_res, prompts, torch.float32)
    attended, logits = folded(decoder, encoder, image, high_res, prompts, masks)
    for value, normal, exact in (
        (attended.iou, usual.iou, truth.iou),
        (attended.mask_tokens, usual.mask_tokens, truth.mask_tokens),
        (logits, usual.mask_logits, truth.mask_logits),
    ):
        assert error(value, exact) <= max(2 * error(normal, exact), 1e-6)


@pytest.mark.parametrize("mask_prompts", [False, True])
@pytest.mark.parametrize("name", ["sam_vit_b", "sam2.1_hiera_tiny"])
def test_bands_of_image_tokens_do_not_change_the_answer(name, mask_prompts, monkeypatch):
    decoder, encoder, image, *rest = parts(name, mask_prompts)
    image *= torch.linspace(0.1, 5, SIDE)[:, None]  # scores grow from band to band
    given = decoder, encoder, image, *rest
    attended, logits = folded(*given)
    monkeypatch.setattr("everymask.nn.shared_image.BAND", 100)  # three, the last one smaller
    in_bands, banded_logits = folded(*given)
    assert error(in_bands.iou, attended.iou) < 1e-5
    assert error(banded_logits, logits) < 1e-4


def test_half_precision_stays_close():
    decoder, encoder, image, high_res, prompts, masks = parts("sam2.1_hiera_tiny", False)
    truth = plain(decoder, encoder, image, high_res, prompts, torch.float64)
    attended, logits = folded(decoder, encoder, image, high_res, prompts, masks, torch.bfloat16)
    assert logits.dtype == torch.float32
    assert error(attended.iou, truth.iou) < 0.05
    assert float((logits - truth.mask_logits).pow(2).mean().sqrt() / truth.mask_logits.std()) < 0.02


def test_only_the_masks_asked_for_are_made():
    decoder, encoder, image, high_res, prompts, _ = parts("sam2.1_hiera_tiny", False)
    points = PointDecoder.prepare(decoder, image + encoder.no_mask(), encoder.grid_position(), high_res)
    attended = points.attend(prompts.sparse)
    every = points.masks(attended, 2, range(4))
    torch.testing.assert_close(points.masks(attended, 2, [3, 1]), every[[3, 1]])


@pytest.mark.parametrize("name", ["sam_vit_b", "sam2.1_hiera_tiny", "nano"])
def test_a_mask_has_the_same_bits_whichever_others_are_asked_for(name):
    decoder, encoder, image, high_res, prompts, _ = parts(name, False)
    points = PointDecoder.prepare(decoder, image + encoder.no_mask(), encoder.grid_position(), high_res)
    attended = points.attend(prompts.sparse)
    every = points.masks(attended, 1, range(4))
    for which in ([0], [3], [1, 2], [1, 3], [1, 2, 3], [3, 1]):
        assert torch.equal(points.masks(attended, 1, which), every[which])


def test_masks_of_several_prompts_have_the_bits_of_each_alone():
    decoder, encoder, image, high_res, prompts, _ = parts("sam2.1_hiera_tiny", False)
    points = PointDecoder.prepare(decoder, image + encoder.no_mask(), encoder.grid_position(), high_res)
    attended = points.attend(prompts.sparse)
    asked = [(0, [1, 3]), (2, [2]), (4, range(4))]
    together = points.masks_of(attended, asked)
    for (prompt, which), logits in zip(asked, together, strict=True):
        assert torch.equal(logits, points.masks(attended, prompt, which))


def test_prompts_do_not_depend_on_their_neighbours():
    decoder, encoder, image, high_res, prompts, _ = parts("sam_vit_b", False)
    points = PointDecoder.prepare(decoder, image + encoder.no_mask(), encoder.grid_position(), high_res)
    together = points.attend(prompts.sparse).iou
    alone = torch.cat([points.twin().attend(prompts.sparse[p : p + 1]).iou for p in range(PROMPTS)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sam_vit_b", "sam2.1_hiera_tiny"])
def test_a_sketch_is_near_the_mean_of_four_logits(name):
    decoder, encoder, image, high_res, prompts, _ = parts(name, False)
    if high_res:  # noise from pixel to pixel is nothing that a mean stands for
        smooth = (
            torch.nn.functional.avg_pool2d(high_res[0], 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        )
        high_res = smooth, high_res[1]
    points = PointDecoder.prepare(decoder, image + encoder.no_mask(), encoder.grid_position(), high_res)
    sketch = points.sketching()
    full = points.masks(points.attend(prompts.sparse), 1, range(4))
    rough = sketch.masks(sketch.attend(prompts.sparse), 1, range(4))
    means = torch.nn.functional.avg_pool2d(full, 2)
    assert rough.shape == means.shape == (4, 2 * SIDE, 2 * SIDE)
    assert torch.corrcoef(torch.stack([rough.flatten(), means.flatten()]))[0, 1] > 0.9
