import pytest
import torch

from everymask.nn.position import sine_map, sine_steps


@pytest.mark.parametrize(("hw", "dim"), [((64, 64), 256), ((14, 20), 64), ((1, 3), 8)])
def test_sine_map_is_the_official_one(hw, dim):
    position = pytest.importorskip("sam2.modeling.position_encoding", reason="sam2 is not installed")
    official = position.PositionEmbeddingSine(dim, normalize=True, scale=None, temperature=10000)
    theirs = official(torch.zeros(1, dim, *hw))
    torch.testing.assert_close(sine_map(hw, dim), theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dim", [256, 64])
def test_sine_steps_are_the_official_ones(dim):
    utils = pytest.importorskip("sam2.modeling.sam2_utils", reason="sam2 is not installed")
    steps = torch.tensor([-15.0, -1.0, 0.0, 0.5, 3.0, 15.0]) / 15
    assert torch.equal(sine_steps(steps, dim), utils.get_1d_sine_pe(steps, dim))
