"""An optimiser for matrices: steps of equal size in every direction (Muon), Adam for everything else.

Adam scales each weight by itself. A weight matrix's gradients lie in few directions, and so do Adam's
steps; Muon makes all singular values of a step equal, so that rare directions learn as fast as common
ones (Jordan et al. 2024; the scale that fits Adam's rates: Liu et al. 2025).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from everymask.nn.product_type import fast_dtype

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
            moved = [p for p in group["params"] if p.grad is not None]
            if group["matrices"]:
                alike: dict[tuple[int, int], list[Tensor]] = {}
                for parameter in moved:
                    alike.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
                for parameters in alike.values():
                    self._turn(parameters, group)
            elif moved:
                self._adam(moved, group)

    def _turn(self, parameters: list[Tensor], group: dict) -> None:
        """Matrices of one size in one go: a GPU is as fast with ten as with one."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = [self._kept(parameter, "momentum") for parameter in parameters]
        torch._foreach_lerp_(means, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, means, group["momentum"])  # Nesterov's
        turned = orthogonal(torch.stack([each.flatten(1) for each in ahead]))
        size = ADAM_SIZE * max(turned.shape[1:]) ** 0.5
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        steps = [step.view_as(p) for step, p in zip(turned, parameters, strict=True)]
        torch._foreach_add_(parameters, steps, alpha=-group["lr"] * size)

    def _adam(self, parameters: list[Tensor], group: dict) -> None:
        first, second = group["betas"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = [self._kept(parameter, "mean") for parameter in parameters]
        squares = [self._kept(parameter, "square") for parameter in parameters]
        counts = []
        for parameter in parameters:
            count = self.state[parameter].setdefault("count", torch.zeros(()))
            count += 1
            counts.append(float(count))
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - second)
        spreads = torch._foreach_div(squares, [1 - second**count for count in counts])
        torch._foreach_sqrt_(spreads)
        torch._foreach_add_(spreads, 1e-8)
        rates = [-group["lr"] / (1 - first**count) for count in counts]
        torch._foreach_addcdiv_(parameters, means, spreads, rates)

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter, its first axis against all others, is a matrix worth the name.

    >>> is_matrix(torch.empty(64, 32, 1, 1)), is_matrix(torch.empty(64, 1, 3, 3)), is_matrix(torch.empty(64))
    (True, False, False)
    """
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= LEAST_SIDE


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices [..., M, N] with the same singular vectors, their singular values all near 1.

    Computed in the type that the device is fastest in: the iteration forgives the rounding of bfloat16.

    >>> torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 0.5]))).float()).round().tolist()
    [1.0, 1.0]
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = (matrices if wide else matrices.mT).to(fast_dtype(matrices.device))
    x = x / (x.flatten(-2).norm(dim=-1)[..., None, None] + 1e-7)
    a, b, c = POLYNOMIAL
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(matrices.dtype)
