"""The optimiser: matrices are turned, everything else is Adam's."""

import torch
from torch import nn

from everymask.train.muon import Muon, orthogonal


def test_steps_are_equally_long_in_all_directions() -> None:
    weight = nn.Parameter(torch.zeros(32, 64))
    generator = torch.Generator().manual_seed(0)
    weak = torch.linspace(0.01, 1, 32)[:, None] * torch.randn(32, 64, generator=generator)
    optimiser = Muon([weight], lr=0.1)
    weight.grad = weak
    optimiser.step()
    sizes = torch.linalg.svdvals(weight.detach())
    assert sizes.max() / sizes.min() < 2.5
    assert torch.linalg.svdvals(weak).max() / torch.linalg.svdvals(weak).min() > 20
    assert 0.01 < weight.detach().square().mean().sqrt() < 0.03  # 0.2 of the rate, as Adam's


def test_tall_and_wide_matrices_are_treated_alike() -> None:
    matrix = torch.randn(24, 48, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(orthogonal(matrix), orthogonal(matrix.T).T, atol=0.02)


def test_vectors_move_as_adam_moves_them() -> None:
    generator = torch.Generator().manual_seed(2)
    ours, theirs = (nn.Parameter(torch.ones(8)) for _ in range(2))
    optimisers = Muon([ours], lr=0.1), torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.98))
    for _ in range(5):
        ours.grad = theirs.grad = torch.randn(8, generator=generator)
        for optimiser in optimisers:
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_state_is_saved_and_taken_up_again() -> None:
    def fresh() -> tuple[nn.Linear, Muon]:
        torch.manual_seed(3)
        layer = nn.Linear(20, 20)
        return layer, Muon(layer.parameters(), lr=0.01, weight_decay=0.1)

    def go(layer: nn.Linear, optimiser: Muon, seeds: range) -> None:
        for seed in seeds:
            optimiser.zero_grad()
            x = torch.randn(4, 20, generator=torch.Generator().manual_seed(seed))
            layer(x).square().sum().backward()
            optimiser.step()

    through, optimiser = fresh()
    go(through, optimiser, range(6))
    first, before = fresh()
    go(first, before, range(3))
    second, after = fresh()
    second.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())
    go(second, after, range(3, 6))
    assert torch.equal(through.weight, second.weight)
    assert torch.equal(through.bias, second.bias)
