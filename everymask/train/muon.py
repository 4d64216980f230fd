"""An optimiser for matrices: steps of equal size in every direction (Muon), Adam for everything else.

Adam scales each weight by itself. A weight matrix's gradients lie in few directions, and so do Adam's
steps; Muon makes all singular values of a step equal, so that rare directions learn as fast as common
ones (Jordan et al. 2024; the scale that fits Adam's rates: Liu et al. 2025).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

LEAST_SIDE = 16  # of a matrix; depthwise kernels and embeddings are left to Adam
POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # of Newton and Schulz's iteration: singular values go near 1 fast
ITERATIONS = 5
ADAM_SIZE = 0.2  # root mean square of Adam's steps, in learning rates


class Muon(torch.optim.Optimizer):
    """Muon for weight matrices (1 x 1 and dense convolutions among them), Adam for the other parameters.

    One learning rate serves both. Weight decay is decoupled, of matrices only.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        given = list(parameters)
        groups = [
            {"params": [p for p in given if is_matrix(p)], "matrices": True},
            {"params": [p for p in given if not is_matrix(p)], "matrices": False},
        ]
        super().__init__(
            groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        )

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        """Move the parameters that have gradients; ``closure`` is not used."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move = self._turn if group["matrices"] else self._adam
                    move(parameter, parameter.grad, self.state[parameter], group)

    def _turn(self, parameter: nn.Parameter, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(mean, group["momentum"])  # Nesterov's
        step = orthogonal(ahead.flatten(1)).view_as(parameter)
        size = ADAM_SIZE * max(parameter.shape[0], parameter[0].numel()) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"] * size)

    def _adam(self, parameter: nn.Parameter, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["count"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        first, second = group["betas"]
        state["count"] += 1
        count = float(state["count"])
        mean = state["mean"].lerp_(gradient, 1 - first)
        square = state["square"].lerp_(gradient.square(), 1 - second)
        spread = square.div(1 - second**count).sqrt_().add_(1e-8)
        parameter.addcdiv_(mean, spread, value=-group["lr"] / (1 - first**count))


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter, its first axis against all others, is a matrix worth the name.

    >>> is_matrix(torch.empty(64, 32, 1, 1)), is_matrix(torch.empty(64, 1, 3, 3)), is_matrix(torch.empty(64))
    (True, False, False)
    """
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= LEAST_SIDE


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [M, N] with the same singular vectors, its singular values all near 1, in bfloat16.

    >>> torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 0.5]))).float()).round().tolist()
    [1.0, 1.0]
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / (x.norm() + 1e-7)
    a, b, c = POLYNOMIAL
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.T).to(matrix.dtype)
