from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from everymask.nn.encoders import vit
from everymask.nn.encoders.vit import ViT, ViTSpec
from everymask.nn.encoders.windows import split_windows
from tests.parity import torchvision_standin
from tests.parity.seeded import fill

SMALL = ViTSpec(64, depth=4, num_heads=4, global_blocks=(1, 3), out_dim=32)


def official(size):
    torchvision_standin.install()
    module = pytest.importorskip(
        "segment_anything.modeling.image_encoder", reason="segment-anything is not installed"
    )
    model = module.ImageEncoderViT(
        img_size=size,
        embed_dim=64,
        depth=4,
        num_heads=4,
        out_chans=32,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=(1, 3),
    )
    return model.eval()


def pair(size):
    theirs, ours = official(size), ViT(SMALL, size)
    ours.load_state_dict(fill(theirs), strict=True)
    return ours.eval(), theirs


def difference(ours, theirs):
    """The largest difference in units of the reference's spread."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.std()).item()


@torch.no_grad()
@pytest.mark.parametrize("size", [128, 224, 320])  # smaller than a window, whole windows, overhanging
def test_embedding_equals_the_official_encoder(size):
    ours, theirs = pair(size)
    pixels = torch.randn(2, 3, size, size)
    assert difference(ours(pixels), theirs(pixels)) < 1e-4


@torch.no_grad()
def test_pad_keys_of_zeros_would_be_noticed(monkeypatch):
    """The official encoder's padded keys are qkv's bias; any other padding is a visible difference."""
    ours, theirs = pair(320)
    pixels = torch.randn(1, 3, 320, 320)
    monkeypatch.setattr(vit, "split_windows", lambda x, size, fill: split_windows(x, size))
    assert difference(ours(pixels), theirs(pixels)) > 1e-3


@torch.no_grad()
def test_our_weights_load_into_the_official_encoder():
    official(128).load_state_dict(ViT(SMALL, 128).state_dict(), strict=True)


def test_gradients_flow_to_every_parameter():
    ours, theirs = pair(256)
    pixels = torch.randn(1, 3, 256, 256)
    for model in (ours, theirs):
        model(pixels).square().mean().backward()
    got = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        assert torch.allclose(got[name].grad, parameter.grad, rtol=1e-2, atol=1e-3 * parameter.grad.std()), (
            name
        )


@torch.no_grad()
def test_official_tables_serve_a_model_of_another_size():
    """As if the checkpoint had been stretched beforehand (ViTDet's rule)."""
    ours = ViT(replace(SMALL, grid=16), image_size=128)
    state = fill(official(256))
    ours.load_state_dict(state, strict=True)
    theirs = official(128)
    theirs.load_state_dict({name: stretched(name, value) for name, value in state.items()})
    pixels = torch.randn(1, 3, 128, 128)
    assert difference(ours.eval()(pixels), theirs(pixels)) < 1e-4


def stretched(name, value):
    if name == "pos_embed":
        return F.interpolate(value.permute(0, 3, 1, 2), size=(8, 8), mode="bicubic").permute(0, 2, 3, 1)
    if "rel_pos" in name and len(value) == 31:
        return F.interpolate(value.t()[None], size=15, mode="linear")[0].t()
    return value


@torch.no_grad()
def test_pictures_need_not_be_square():
    ours, _ = pair(256)
    assert ours(torch.randn(1, 3, 160, 240)).shape == (1, 32, 10, 15)


@torch.no_grad()
def test_bands_and_tiles_give_what_the_whole_picture_gives(monkeypatch):
    ours, _ = pair(320)
    pixels = torch.randn(1, 3, 320, 320)
    whole = ours(pixels)
    monkeypatch.setattr("everymask.nn.encoders.tokens.BAND_TOKENS", 1)
    monkeypatch.setattr("everymask.nn.attend.TILE_BYTES_CPU", 1000)
    assert difference(ours(pixels), whole) < 1e-4


@torch.no_grad()
def test_bfloat16_stays_near_float32():
    ours, _ = pair(256)
    pixels = torch.randn(1, 3, 256, 256)
    whole = ours(pixels)
    half = ours.bfloat16()(pixels.bfloat16())
    assert half.dtype == torch.bfloat16
    assert difference(half.float(), whole) < 0.1
    assert (half.float() - whole).std() < 0.01 * whole.std()
