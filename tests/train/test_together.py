"""Processes that train one model together."""

from pathlib import Path

import torch
from torch import nn

from everymask.train.together import average_gradients, processes, rank, run_together


def _work(folder: Path) -> None:
    given, missing = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3))
    given.grad = torch.full((2, 2), float(1 + 2 * rank()))
    if rank() == 1:
        missing.grad = torch.ones(3)
    seconds = average_gradients([given, missing], 10.0 * rank())
    torch.save((given.grad, missing.grad, seconds, processes()), folder / f"{rank()}.pt")


def test_gradients_and_the_clock_are_averaged(tmp_path: Path) -> None:
    run_together(2, _work, tmp_path)
    for number in range(2):
        given, missing, seconds, together = torch.load(tmp_path / f"{number}.pt")
        assert given.tolist() == [[2.0, 2.0], [2.0, 2.0]]
        assert missing.tolist() == [0.5, 0.5, 0.5]
        assert seconds == 5.0
        assert together == 2


def test_one_process_alone_keeps_its_gradients() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    assert average_gradients([parameter], 3.0) == 3.0
    assert parameter.grad.tolist() == [1.0, 1.0]
