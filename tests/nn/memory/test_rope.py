import torch

from everymask.nn.memory.rope import grid_rotation, rotate


def test_first_token_of_a_grid_is_not_turned():
    x = torch.arange(8.0)[None]
    assert torch.equal(rotate(x, grid_rotation(8, (1, 1))), x)


def test_first_half_of_the_pairs_turns_with_the_column_and_second_half_with_the_row():
    rotation = grid_rotation(4, (2, 2))
    assert torch.allclose(rotation.cos.acos(), torch.tensor([[0.0, 0.0], [1, 0], [0, 1], [1, 1]]), atol=1e-3)


def test_turn_equals_multiplication_of_complex_numbers():
    torch.manual_seed(0)
    rotation = grid_rotation(16, (3, 5))
    x = torch.randn(2, 15, 16)
    turn = torch.complex(rotation.cos, rotation.sin)
    expected = torch.view_as_real(torch.view_as_complex(x.reshape(2, 15, 8, 2)) * turn).reshape(2, 15, 16)
    assert torch.allclose(rotate(x, rotation), expected, atol=1e-6)


def test_grids_behind_one_another_share_the_turn():
    torch.manual_seed(0)
    rotation = grid_rotation(8, (2, 3))
    x = torch.randn(12, 8)
    assert torch.equal(rotate(x, rotation), torch.cat([rotate(x[:6], rotation), rotate(x[6:], rotation)]))


def test_bfloat16_tokens_stay_bfloat16():
    assert rotate(torch.ones(6, 8, dtype=torch.bfloat16), grid_rotation(8, (2, 3))).dtype == torch.bfloat16
