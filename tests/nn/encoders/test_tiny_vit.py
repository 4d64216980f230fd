"""The whole encoder is held against the official one in tests/golden."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from everymask.nn.encoders.tiny_vit import (
    Attention,
    ConvBlock,
    ConvNorm,
    TinyViT,
    TinyViTSpec,
    _distance_index,
)
from tests.parity.seeded import seeded_state

SMALL = TinyViTSpec((16, 24, 32, 40), (1, 1, 2, 1), (1, 3, 4, 5), (7, 7, 14, 7), out_dim=16)


def seeded(module):
    module.load_state_dict(seeded_state({name: value.shape for name, value in module.state_dict().items()}))
    return module.eval()


def difference(ours, theirs):
    """The largest difference in units of the reference's spread."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.std()).item()


@torch.no_grad()
def test_folded_batch_norm_is_the_batch_norm():
    layer = seeded(ConvNorm(3, 5, 3, stride=2))
    x = torch.randn(2, 3, 9, 9)
    assert difference(layer(x), layer.bn(layer.c(x))) < 1e-5


def test_training_updates_the_batch_norm():
    layer = seeded(ConvNorm(3, 5)).train()
    before = layer.bn.running_mean.clone()
    layer(torch.randn(2, 3, 4, 4) + 5)
    assert not torch.equal(layer.bn.running_mean, before)


@torch.no_grad()
@pytest.mark.parametrize("band_tokens", [1, 2 * 6 * 4])  # one row, four rows
def test_bands_of_a_convolution_block_have_no_seams(monkeypatch, band_tokens):
    block, x = seeded(ConvBlock(16)), torch.randn(2, 16, 9, 6)
    whole = F.gelu(block.conv3(F.gelu(block.conv2(F.gelu(block.conv1(x))))) + x)
    monkeypatch.setattr("everymask.nn.encoders.tokens.BAND_TOKENS", band_tokens)
    assert difference(block(x), whole) < 1e-5


@torch.no_grad()
def test_attention_biases_are_by_distance():
    """One window of 2 x 2 and values that single out each key: the weights are those of the biases."""
    attention = Attention(dim=4, num_heads=1, window=2)
    for parameter in attention.parameters():
        torch.nn.init.zeros_(parameter)
    attention.attention_biases[:] = torch.tensor([[0.0, 1.0, 2.0, 3.0]])  # (0,0) (0,1) (1,0) (1,1)
    qkv = torch.zeros(1, 4, 12)
    qkv[..., 8:] = torch.eye(4)
    weights = attention._attend(qkv).reshape(4, 4)
    order = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
    assert torch.allclose(weights, order.float().softmax(-1), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("size", [(256, 256), (96, 160)])
def test_any_multiple_of_16_works(size):
    model = seeded(TinyViT(SMALL))
    assert model(torch.randn(1, 3, *size)).shape == (1, 16, size[0] // 16, size[1] // 16)


def test_gradients_reach_every_parameter_but_the_classifier():
    model = seeded(TinyViT(SMALL))
    model(torch.randn(1, 3, 64, 64)).sum().backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {"norm_head.weight", "norm_head.bias", "head.weight", "head.bias"}


@torch.no_grad()
def test_answer_without_gradients_is_the_answer_with_them(monkeypatch):
    model, pixels = seeded(TinyViT(SMALL)), torch.randn(1, 3, 128, 128)
    with torch.enable_grad():
        whole = model(pixels)
    monkeypatch.setattr("everymask.nn.encoders.tokens.BAND_TOKENS", 1)
    assert difference(model(pixels), whole) < 1e-4


@torch.no_grad()
def test_bfloat16_stays_near_float32():
    model, pixels = seeded(TinyViT(SMALL)), torch.randn(1, 3, 128, 128)
    whole = model(pixels)
    half = model.bfloat16()(pixels.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - whole).std() < 0.02 * whole.std()


def test_what_is_kept_is_no_tensor():
    """One made in inference mode cannot be trained with, one made while somebody exports has no values."""
    assert type(_distance_index(7)) is np.ndarray
