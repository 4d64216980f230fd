import pytest
import torch

from everymask.nn.attention import Attention, join_heads, split_heads
from everymask.nn.layers import MLP, LayerNorm2d


def plain_attention(layer: Attention, q, k, v):
    """Softmax(Q K^T / sqrt(d)) V, head by head, written for reading."""
    q, k, v = layer.q_proj(q), layer.k_proj(k), layer.v_proj(v)
    width = q.shape[-1] // layer.heads
    heads = []
    for h in range(layer.heads):
        part = slice(h * width, (h + 1) * width)
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / width**0.5).softmax(dim=-1)
        heads.append(weights @ v[..., part])
    return layer.out_proj(torch.cat(heads, dim=-1))


@torch.no_grad()
@pytest.mark.parametrize("downsample", [1, 2])
def test_attention_equals_the_formula(downsample):
    layer = Attention(16, 4, downsample_rate=downsample)
    q, k, v = torch.randn(3, 5, 16), torch.randn(3, 7, 16), torch.randn(3, 7, 16)
    torch.testing.assert_close(layer(q, k, v), plain_attention(layer, q, k, v))


@torch.no_grad()
def test_keys_may_be_narrower_than_queries():
    layer = Attention(16, 4, kv_in_dim=6)
    assert layer(torch.randn(1, 5, 16), torch.randn(1, 7, 6), torch.randn(1, 7, 6)).shape == (1, 5, 16)


@torch.no_grad()
@pytest.mark.parametrize("shared", ["queries", "keys"])
def test_a_shared_side_gives_what_its_copies_give(shared):
    layer = Attention(16, 4, downsample_rate=2)
    q = torch.randn(1 if shared == "queries" else 3, 5, 16)
    k = torch.randn(1 if shared == "keys" else 3, 7, 16)
    copies = layer(q.expand(3, -1, -1).clone(), k.expand(3, -1, -1).clone(), k.expand(3, -1, -1).clone())
    torch.testing.assert_close(layer(q, k, k), copies)


def test_heads_must_divide_the_inner_width():
    with pytest.raises(ValueError, match="3 heads must divide the inner width 8; change num_heads or"):
        Attention(16, 3, downsample_rate=2)


def test_joining_heads_undoes_splitting():
    x = torch.randn(2, 5, 12)
    assert torch.equal(join_heads(split_heads(x, 3)), x)
    assert torch.equal(split_heads(x, 3)[0, 1, 4], x[0, 4, 4:8])


@torch.no_grad()
def test_layer_norm_2d_normalises_each_pixel_over_channels():
    layer, x = LayerNorm2d(6), torch.randn(2, 6, 3, 4) * 5 + 2
    layer.weight.normal_()
    layer.bias.normal_()
    mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
    expected = (x - mean) / (var + 1e-6).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected)


@torch.no_grad()
def test_mlp_has_activations_between_its_layers_only():
    mlp = MLP(2, 2, 2, 2)
    for layer in mlp.layers:
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
    assert mlp(torch.tensor([[-1.0, 2.0]])).tolist() == [[0.0, 2.0]]
    mlp.layers[1].weight.mul_(-1)
    assert mlp(torch.tensor([[-1.0, 2.0]])).tolist() == [[0.0, -2.0]]


@torch.no_grad()
def test_mlp_with_sigmoid_stays_between_0_and_1():
    out = MLP(3, 4, 5, 3, sigmoid=True)(torch.randn(10, 3) * 100)
    assert out.shape == (10, 5)
    assert 0 <= out.min() <= out.max() <= 1


@torch.no_grad()
def test_mlp_kept_in_float32_takes_bfloat16():
    assert MLP(3, 4, 5, 2)(torch.randn(1, 3, dtype=torch.bfloat16)).dtype == torch.float32
