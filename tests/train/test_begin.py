"""A fresh model already looks where it is clicked."""

from dataclasses import replace

import torch

from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.attention import split_heads
from everymask.nn.encoders.convnet import ConvSpec
from everymask.train.begin import begin, calm_neck

SPEC = replace(
    MODELS["nano"],
    image_size=256,
    trunk=ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2),
    memory=None,
)


def attended_cell(model, click_xy):
    """Where the mask token of a click looks first: the best cell of the first cross-attention."""
    sparse = model.encode_prompts(
        *model.arrange(torch.tensor([[click_xy]]), torch.ones(1, 1, dtype=torch.int32), None)
    ).sparse
    tokens = model.decoder.tokens(sparse)
    block = model.decoder.transformer.layers[0]
    mixed = block.norm1(block.self_attn(tokens, tokens, tokens)) + tokens
    attention = block.cross_attn_token_to_image
    query = split_heads(attention.q_proj(mixed), attention.heads)
    key = split_heads(
        attention.k_proj(model.prompts.grid_position().flatten(2).transpose(1, 2)), attention.heads
    )
    scores = (query @ key.transpose(-2, -1)).mean(1)[0, 2]  # of the first mask token
    return divmod(int(scores.argmax()), 16)


def test_a_mask_token_looks_near_the_click_from_the_start():
    torch.manual_seed(0)
    model = Sam2(SPEC)
    begin(model)
    for x, y in ((40.0, 40.0), (200.0, 56.0), (120.0, 216.0)):
        row, column = attended_cell(model, (x, y))
        assert abs(row - y / 16) < 3
        assert abs(column - x / 16) < 3


def test_beginning_keeps_names_and_shapes():
    model = Sam2(SPEC)
    before = {name: value.shape for name, value in model.state_dict().items()}
    begin(model)
    calm_neck(model.image_encoder.neck)
    assert {name: value.shape for name, value in model.state_dict().items()} == before
