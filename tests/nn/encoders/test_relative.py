import pytest
import torch

from everymask.nn import attend
from everymask.nn.encoders.relative import attend_relative, relative_table


def plainly(q, k, v, table_h, table_w, hw):
    """The formula, one query and one key at a time."""
    (height, width), dim = hw, q.shape[-1]
    out = torch.zeros_like(q)
    for pair in range(len(q)):
        for i in range(height * width):
            logits = []
            for j in range(height * width):
                down, across = i // width - j // width, i % width - j % width
                where = table_h[down + height - 1] + table_w[across + width - 1]
                logits.append(q[pair, i] @ k[pair, j] / dim**0.5 + q[pair, i] @ where)
            out[pair, i] = torch.stack(logits).softmax(0) @ v[pair]
    return out


@pytest.fixture
def inputs():
    draw = torch.Generator().manual_seed(1)
    q, k, v = torch.randn(3, 4, 6, 8, generator=draw)
    return q, k, v, torch.randn(3, 8, generator=draw), torch.randn(5, 8, generator=draw)


def test_attention_follows_the_formula(inputs):
    out = attend_relative(*inputs, hw=(2, 3))
    assert torch.allclose(out, plainly(*inputs, hw=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("tile_bytes", [1, 6 * 4 * 2, 6 * 6 * 4 * 3])
def test_tiles_give_what_one_piece_gives(inputs, monkeypatch, tile_bytes):
    whole = attend_relative(*inputs, hw=(2, 3))
    monkeypatch.setattr(attend, "TILE_BYTES_CPU", tile_bytes)
    assert torch.allclose(attend_relative(*inputs, hw=(2, 3)), whole, atol=1e-6)


def test_table_entry_is_the_offset_of_query_from_key():
    table = torch.arange(-2.0, 3.0)[:, None]
    assert relative_table(table, 3)[..., 0].tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


def test_table_of_another_side_is_stretched_linearly():
    table = torch.tensor([[0.0], [1.0], [2.0]])
    offsets = relative_table(table, 3)[:, 0, 0].tolist() + relative_table(table, 3)[0, :, 0].tolist()
    want = torch.nn.functional.interpolate(table.t()[None], size=5, mode="linear")[0, 0]
    assert offsets == [*want[2:].tolist(), *want[:3].flip(0).tolist()]
