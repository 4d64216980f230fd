"""How a model trained from scratch begins: a decoder in which a click already means a place.

With random projections a fresh two-way decoder ignores its prompts for thousands of steps: the place of
a click reaches the mask tokens only through several random matrices. Here the same modules start so that
mask tokens copy the click's position code, look at the image where that code is, and bring back what is
there. What to make of it is left to training.
"""

from __future__ import annotations

import torch
from torch import nn

from everymask.models.base import PromptableModel
from everymask.nn.attention import Attention
from everymask.nn.two_way import TwoWayBlock

SHARPNESS = 2.0  # of matching position codes: at torch's own scale it drowns in 256 cells
TOKEN_SCALE = 0.1  # position codes have a norm of 8; tokens that start at 11 would hide them
CORNER_SCALE = 0.5  # corners of a box must not pass for clicks: what lies at them is not meant
NECK_SCALE = 0.2  # the neck has no norm: brings its maps to the scale of the position codes


@torch.no_grad()
def begin(model: PromptableModel) -> None:
    """Prepare a freshly made model, in place; the shapes and names of its weights stay as they are."""
    decoder = model.decoder
    for block in decoder.transformer.layers:
        assert isinstance(block, TwoWayBlock)
        pass_values(block.self_attn)
        for attention in (block.cross_attn_token_to_image, block.cross_attn_image_to_token):
            match_places(attention)
            pass_values(attention)
    match_places(decoder.transformer.final_attn_token_to_image)
    pass_values(decoder.transformer.final_attn_token_to_image)
    tokens = [decoder.mask_tokens, decoder.iou_token, model.prompts.not_a_point_embed]
    tokens += [*model.prompts.point_embeddings][:2]
    if decoder.spec.object_score:
        tokens.append(decoder.obj_score_token)
    for embedding in tokens:
        embedding.weight.mul_(TOKEN_SCALE)
    for corner in [*model.prompts.point_embeddings][2:]:
        corner.weight.mul_(CORNER_SCALE)


@torch.no_grad()
def calm_neck(neck: nn.Module, coarse_levels: int = 2) -> None:
    """Scale down the neck's projections to strides 32 and 16 (the first of its ``convs``), in place."""
    for projection in list(neck.convs)[:coarse_levels]:  # type: ignore[arg-type]
        for parameter in projection.parameters():
            parameter.mul_(NECK_SCALE)


def match_places(attention: Attention) -> None:
    """Queries and keys are projected alike, so that like finds like."""
    attention.q_proj.weight.mul_(SHARPNESS)
    attention.k_proj.load_state_dict(attention.q_proj.state_dict())


def pass_values(attention: Attention) -> None:
    """Values come out as they went in, as far as the inner width allows."""
    nn.init.orthogonal_(attention.v_proj.weight)
    attention.out_proj.weight.copy_(attention.v_proj.weight.T)
    nn.init.zeros_(attention.v_proj.bias)
    nn.init.zeros_(attention.out_proj.bias)
