import pytest
import torch
import torch.nn.functional as F

from everymask.nn import attend as module
from everymask.nn.attend import attend, tiles


@torch.no_grad()
@pytest.mark.parametrize("tile_bytes", [1, 2 * 7 * 3, 2 * 7 * 5 * 4, 2**20])
def test_bfloat16_attention_is_near_that_of_float32(monkeypatch, tile_bytes):
    monkeypatch.setattr(module, "TILE_BYTES_CPU", tile_bytes)
    draw = torch.Generator().manual_seed(0)
    q = torch.randn(6, 5, 8, generator=draw)
    k, v = torch.randn(2, 6, 7, 8, generator=draw)
    out = attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert out.dtype == torch.bfloat16
    assert (out.float() - F.scaled_dot_product_attention(q[None], k[None], v[None])[0]).abs().max() < 0.05


def test_float32_attention_is_torchs_own():
    q, k, v = torch.randn(3, 2, 4, 8)
    assert torch.equal(attend(q, k, v), F.scaled_dot_product_attention(q[None], k[None], v[None])[0])


@pytest.mark.parametrize("tile_bytes", [1, 4 * 7 * 2, 4 * 7 * 5, 4 * 7 * 5 * 2, 10**6])
def test_tiles_cover_everything_once_and_in_order(monkeypatch, tile_bytes):
    monkeypatch.setattr(module, "TILE_BYTES_CPU", tile_bytes)
    q = torch.arange(15.0).reshape(3, 5, 1)
    seen = torch.cat([q[pair, query].flatten() for pair, query in tiles(q, keys=7)])
    assert torch.equal(seen, q.flatten())
