import math

import pytest
import torch

from everymask.nn.position import RandomFourierPosition, cell_centres, sine_map, sine_steps


def test_the_code_of_a_point_is_sines_then_cosines():
    layer = RandomFourierPosition(2)
    layer.positional_encoding_gaussian_matrix.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    code = layer(torch.tensor([0.625, 0.5]))  # angles 2 pi * (0.25, 0)
    torch.testing.assert_close(code, torch.tensor([1.0, 0.0, 0.0, 1.0]), atol=1e-6, rtol=0)


def test_the_grid_holds_the_codes_of_cell_centres():
    layer = RandomFourierPosition(4)
    grid = layer.grid((2, 3))
    assert grid.shape == (1, 8, 2, 3)
    torch.testing.assert_close(grid[0, :, 1, 2], layer(torch.tensor([2.5 / 3, 1.5 / 2])))


def test_the_grid_is_remembered_until_the_size_or_the_weights_change():
    layer, other = RandomFourierPosition(4), RandomFourierPosition(4)
    first = layer.grid((2, 3))
    assert layer.grid((2, 3)) is first
    assert layer.grid((3, 2)).shape == (1, 8, 3, 2)
    layer.load_state_dict(other.state_dict())
    assert torch.equal(layer.grid((2, 3)), other.grid((2, 3)))
    assert layer.double().grid((2, 3)).dtype == torch.float64


def test_a_grid_made_in_inference_mode_serves_training_later():
    layer = RandomFourierPosition(4)
    with torch.inference_mode():
        layer.grid((2, 2))
    weight = torch.ones(8, 1, 1, requires_grad=True)
    (layer.grid((2, 2)) * weight).sum().backward()
    assert weight.grad is not None


def test_cell_centres_lie_within_their_cells():
    centres = cell_centres((4, 2), torch.zeros(()))
    assert centres[0, 0].tolist() == [0.25, 0.125]
    assert centres[3, 1].tolist() == [0.75, 0.875]


def test_sine_map_has_rows_in_its_first_half_and_columns_in_its_second():
    code = sine_map((4, 5), 16)[0]
    assert code.shape == (16, 4, 5)
    assert torch.equal(code[:8, :, 0], code[:8, :, 4])
    assert torch.equal(code[8:, 0], code[8:, 3])


def test_sine_map_of_one_cell_is_a_full_turn():
    code = sine_map((1, 1), 4)[0, :, 0, 0]
    turn = 2 * math.pi / (1 + 1e-6)
    torch.testing.assert_close(code, torch.tensor([math.sin(turn), math.cos(turn)] * 2), atol=1e-5, rtol=0)


def test_sine_map_refuses_an_odd_width():
    with pytest.raises(ValueError, match="divisible by 4, got 6"):
        sine_map((2, 2), 6)


def test_sine_steps_of_negative_distances_mirror_the_sines():
    forth, back = sine_steps(torch.tensor([3.0, -3.0]), 8)
    torch.testing.assert_close(forth[:4], -back[:4])
    torch.testing.assert_close(forth[4:], back[4:])
