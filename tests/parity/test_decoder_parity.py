"""Prompt encoder, two-way transformer and mask decoder against the official modules."""

from dataclasses import replace

import pytest
import torch

from everymask.models.specs import MODELS
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.prompt_encoder import PromptEncoder
from tests.parity.official import official_model
from tests.parity.seeded import fill

SMALL = {
    "sam": replace(
        MODELS["sam_vit_b"],
        image_size=256,
        trunk=replace(MODELS["sam_vit_b"].trunk, embed_dim=24, depth=1, num_heads=2, global_blocks=(0,)),
    ),
    "sam2.1": replace(
        MODELS["sam2.1_hiera_tiny"],
        image_size=256,
        trunk=replace(MODELS["sam2.1_hiera_tiny"].trunk, embed_dim=8, stages=(1, 1, 1, 1), global_blocks=()),
    ),
    "narrow": replace(
        MODELS["nano"], image_size=128, embed_dim=64, decoder=replace(MODELS["nano"].decoder, mlp_dim=96)
    ),
}
TOLERANCE = 1e-4  # of the reference's spread, in float32


def worst(ours, theirs):
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.std()).item()


@pytest.fixture(params=SMALL)
def pair(request):
    """Our prompt encoder and decoder, and the official ones, with the same weights."""
    spec = SMALL[request.param]
    official = official_model(spec)
    fill(official)
    prefix = "" if spec.family == "sam" else "sam_"
    their_prompts, their_decoder = (getattr(official, prefix + n) for n in ("prompt_encoder", "mask_decoder"))
    prompts = PromptEncoder(dim=spec.embed_dim, embedding_hw=spec.embedding_hw, image_size=spec.image_size)
    prompts.load_state_dict(their_prompts.state_dict(), strict=True)
    decoder = MaskDecoder(spec.embed_dim, spec.decoder)
    decoder.load_state_dict(their_decoder.state_dict(), strict=True)
    return spec, prompts.eval(), decoder.eval(), their_prompts, their_decoder


def features(spec, batch=1):
    """Random image features of a batch of pictures, with SAM 2's fine maps where the decoder takes them."""
    generator = torch.Generator().manual_seed(3)
    (h, w), dim = spec.embedding_hw, spec.embed_dim
    image = torch.randn(batch, dim, h, w, generator=generator)
    fine = (
        torch.randn(batch, dim // 8, 4 * h, 4 * w, generator=generator) * 0.5,
        torch.randn(batch, dim // 4, 2 * h, 2 * w, generator=generator) * 0.5,
    )
    return image, fine if spec.decoder.high_res else ()


def points(spec, prompts, count):
    generator = torch.Generator().manual_seed(4)
    where = torch.rand(prompts, count, 2, generator=generator) * spec.image_size
    return where, torch.randint(-1, 2, (prompts, count), generator=generator, dtype=torch.int32)


def their_masks(spec, decoder, image, position, sparse, dense, fine):
    if spec.family == "sam":
        return (*decoder.predict_masks(image, position, sparse, dense), None, None)
    return decoder.predict_masks(image, position, sparse, dense, image.shape[0] == 1, list(fine))


@torch.no_grad()
def test_points_are_embedded_alike(pair):
    spec, prompts, _, their_prompts, _ = pair
    xy, labels = points(spec, 6, 3)
    theirs, _ = their_prompts((xy, labels), None, None)
    padded = torch.cat([xy, torch.zeros(6, 1, 2)], 1), torch.cat([labels, -torch.ones(6, 1)], 1)
    assert torch.equal(prompts(*padded).sparse, theirs)


@torch.no_grad()
def test_box_corners_are_embedded_alike(pair):
    spec, prompts, _, their_prompts, _ = pair
    boxes = torch.rand(5, 4) * spec.image_size
    theirs, _ = their_prompts(None, boxes, None)
    ours = prompts(boxes.reshape(5, 2, 2), torch.tensor([[2, 3]]).expand(5, 2)).sparse
    assert torch.equal(ours, theirs)


@torch.no_grad()
def test_masks_are_embedded_alike(pair):
    _, prompts, _, their_prompts, _ = pair
    masks = torch.randn(3, 1, *prompts.mask_hw, generator=torch.Generator().manual_seed(5)) * 8
    _, theirs = their_prompts(None, None, masks)
    assert worst(prompts(masks=masks).dense, theirs) < 1e-5


@torch.no_grad()
def test_grid_positions_are_alike(pair):
    _, prompts, _, their_prompts, _ = pair
    assert torch.equal(prompts.grid_position(), their_prompts.get_dense_pe())


@torch.no_grad()
def test_float64_points_are_embedded_alike(pair):
    spec, prompts, _, their_prompts, _ = pair
    xy = torch.rand(500, 1, 2, dtype=torch.float64) * spec.image_size
    labels = torch.ones(500, 1, dtype=torch.int32)
    ours = prompts(xy, labels).sparse
    theirs, _ = their_prompts((xy, labels), None, None)
    assert torch.equal(ours, theirs[:, :1])


@torch.no_grad()
@pytest.mark.parametrize(("prompt_count", "point_count"), [(1, 1), (7, 1), (3, 4), (2, 0)])
def test_decoder_without_mask_prompts(pair, prompt_count, point_count):
    spec, prompts, decoder, their_prompts, their_decoder = pair
    image, fine = features(spec)
    sparse = prompts(*points(spec, prompt_count, point_count)).sparse
    dense = their_prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(
        prompt_count, -1, *spec.embedding_hw
    )
    ours = decoder(image + prompts.no_mask(), prompts.grid_position(), sparse, fine)
    masks, iou, tokens, object_logit = their_masks(
        spec, their_decoder, image, their_prompts.get_dense_pe(), sparse, dense, fine
    )
    assert worst(ours.mask_logits, masks) < TOLERANCE
    assert worst(ours.iou, iou) < TOLERANCE
    if spec.family == "sam2":
        assert worst(ours.mask_tokens, tokens) < TOLERANCE
        assert (ours.object_logit - object_logit).abs().max() < TOLERANCE


@torch.no_grad()
def test_decoder_with_mask_prompts(pair):
    spec, prompts, decoder, their_prompts, their_decoder = pair
    image, fine = features(spec)
    masks = torch.randn(4, 1, *prompts.mask_hw, generator=torch.Generator().manual_seed(5)) * 8
    xy, labels = points(spec, 4, 2)
    ours_in = prompts(xy, labels, masks)
    ours = decoder(image + ours_in.dense, prompts.grid_position(), ours_in.sparse, fine)
    theirs = their_masks(
        spec, their_decoder, image, their_prompts.get_dense_pe(), ours_in.sparse, ours_in.dense, fine
    )
    assert worst(ours.mask_logits, theirs[0]) < TOLERANCE
    assert worst(ours.iou, theirs[1]) < TOLERANCE


@torch.no_grad()
def test_decoder_with_a_picture_for_each_prompt(pair):
    spec, prompts, decoder, their_prompts, their_decoder = pair
    if spec.family == "sam":
        pytest.skip("SAM's decoder takes one picture only")
    image, fine = features(spec, batch=3)
    sparse = prompts(*points(spec, 3, 2)).sparse
    ours = decoder(image + prompts.no_mask(), prompts.grid_position(), sparse, fine)
    dense = prompts.no_mask().expand(3, -1, *spec.embedding_hw)
    theirs = their_masks(spec, their_decoder, image, their_prompts.get_dense_pe(), sparse, dense, fine)
    assert worst(ours.mask_logits, theirs[0]) < TOLERANCE


@torch.no_grad()
def test_float32_is_as_near_to_float64_as_the_official_float32(pair):
    spec, prompts, decoder, _, their_decoder = pair
    image, fine = features(spec)
    sparse = prompts(*points(spec, 6, 1)).sparse
    position, no_mask = prompts.grid_position(), prompts.no_mask()
    dense = no_mask.expand(6, -1, *spec.embedding_hw)
    theirs = their_masks(spec, their_decoder, image, position, sparse, dense, fine)[0]
    ours = decoder(image + no_mask, position, sparse, fine).mask_logits
    exact = decoder.double()(
        (image + no_mask).double(), position.double(), sparse.double(), tuple(x.double() for x in fine)
    ).mask_logits
    our_error, their_error = ((x - exact).square().mean().sqrt() for x in (ours, theirs))
    assert our_error <= 2 * their_error
