"""Our memory modules against the official ones, on the official modules' own weights."""

import pytest
import torch

from everymask.nn.memory import MemoryAttention, MemoryEncoder
from everymask.nn.position import sine_map

pytest.importorskip("sam2", reason="the official package is not installed")
from sam2.modeling.memory_attention import MemoryAttention as OfficialAttention
from sam2.modeling.memory_attention import MemoryAttentionLayer as OfficialLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler
from sam2.modeling.memory_encoder import MemoryEncoder as OfficialEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention

GRID = 6


def official_attention(channels: int, memory_channels: int) -> OfficialAttention:
    common = {
        "rope_theta": 10000.0,
        "feat_sizes": (GRID, GRID),
        "embedding_dim": channels,
        "num_heads": 1,
        "dropout": 0.1,
    }
    layer = OfficialLayer(
        activation="relu",
        dim_feedforward=48,
        dropout=0.1,
        pos_enc_at_attn=False,
        self_attention=RoPEAttention(downsample_rate=1, **common),
        d_model=channels,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=RoPEAttention(
            rope_k_repeat=True, downsample_rate=1, kv_in_dim=memory_channels, **common
        ),
    )
    return OfficialAttention(d_model=channels, pos_enc_at_input=True, layer=layer, num_layers=3).eval()


@pytest.fixture
def attentions():
    torch.manual_seed(0)
    official = official_attention(32, 8)
    for parameter in official.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = MemoryAttention(32, 8, layers=3, hidden=48).eval()
    ours.load_state_dict(official.state_dict(), strict=True)
    return official, ours


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("pointers", [0, 8])
@pytest.mark.parametrize("gradients", [False, True])
def test_memory_attention_equals_the_official_one(attentions, frames, pointers, gradients):
    official, ours = attentions
    tokens, length, objects = frames * GRID**2 + pointers, GRID**2, 2
    current, current_pos = (
        torch.randn(length, objects, 32),
        torch.randn(length, 1, 32).expand(-1, objects, -1),
    )
    memory, memory_pos = torch.randn(tokens, objects, 8), torch.randn(tokens, objects, 8)
    with torch.no_grad():
        expected = official(current, memory, current_pos, memory_pos, num_obj_ptr_tokens=pointers)
    with torch.set_grad_enabled(gradients):
        answer = ours(
            current.permute(1, 2, 0).reshape(objects, 32, GRID, GRID),
            current_pos[:, :1].permute(1, 2, 0).reshape(1, 32, GRID, GRID),
            memory.transpose(0, 1),
            memory_pos.transpose(0, 1),
            unplaced=pointers,
        )
    expected = expected.permute(1, 2, 0).reshape(objects, 32, GRID, GRID)
    assert (answer - expected).abs().max() < 1e-5 * expected.std()


def test_shared_frame_gives_what_repeating_it_gives(attentions):
    _, ours = attentions
    frame, position = torch.randn(1, 32, GRID, GRID), torch.randn(1, 32, GRID, GRID)
    memory, memory_pos = torch.randn(3, GRID**2, 8), torch.randn(1, GRID**2, 8)
    with torch.inference_mode():
        shared = ours(frame, position, memory, memory_pos)
        repeated = ours(frame.repeat(3, 1, 1, 1), position, memory, memory_pos)
    assert torch.allclose(shared, repeated, atol=1e-5)


def test_what_was_begun_once_serves_each_object(attentions):
    _, ours = attentions
    frame, position = torch.randn(1, 32, GRID, GRID), torch.randn(1, 32, GRID, GRID)
    memory, memory_pos = torch.randn(3, GRID**2, 8), torch.randn(1, GRID**2, 8)
    with torch.inference_mode():
        together = ours(frame, position, memory, memory_pos)
        begun = ours.begin(frame, position)
        each = [ours(frame, position, one[None], memory_pos, begun=begun) for one in memory]
    assert torch.allclose(torch.cat(each), together, atol=1e-5)


def test_several_heads_give_the_same_with_and_without_gradients():
    torch.manual_seed(0)
    ours = MemoryAttention(32, 8, layers=2, hidden=16, heads=2).eval()
    inputs = torch.randn(2, 32, 4, 4), torch.randn(1, 32, 4, 4), torch.randn(2, 20, 8), torch.randn(1, 20, 8)
    with torch.no_grad():
        without = ours(*inputs, unplaced=4)
    assert torch.allclose(ours(*inputs, unplaced=4), without, atol=1e-5)


def test_gradients_reach_the_memory(attentions):
    _, ours = attentions
    memory = torch.randn(1, GRID**2, 8, requires_grad=True)
    frame = torch.randn(1, 32, GRID, GRID)
    ours(frame, frame, memory, torch.zeros(1, GRID**2, 8)).square().mean().backward()
    assert memory.grad is not None
    assert memory.grad.abs().sum() > 0


@pytest.mark.parametrize("memory_channels", [8, 256])
def test_memory_encoder_equals_the_official_one(memory_channels):
    torch.manual_seed(0)
    official = OfficialEncoder(
        out_dim=memory_channels,
        in_dim=256,
        mask_downsampler=MaskDownSampler(kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(dim=256), num_layers=2),
        position_encoding=PositionEmbeddingSine(memory_channels),
    ).eval()
    for parameter in official.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    ours = MemoryEncoder(256, memory_channels).eval()
    ours.load_state_dict(official.state_dict(), strict=True)
    frame, mask = torch.randn(1, 256, 4, 4), torch.randn(2, 1, 64, 64) * 10
    with torch.inference_mode():
        expected = official(frame.expand(2, -1, -1, -1), mask, skip_mask_sigmoid=True)
        answer = ours(frame, mask)
    assert (answer - expected["vision_features"]).abs().max() < 1e-5 * expected["vision_features"].std()
    position = expected["vision_pos_enc"][0][:1]
    assert torch.allclose(sine_map((4, 4), memory_channels), position, atol=1e-6)
