"""Position codes: random Fourier features of prompts and pixels, sines of maps and of time.

Letters used in shapes: P prompts, N points, C channels, h x w a grid.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class RandomFourierPosition(nn.Module):
    """Sines and cosines of positions along random directions, drawn once and stored in the checkpoint.

    The same code describes the points of a prompt and the cells of the image embedding, which is
    how the decoder knows where a click lies. The directions stay in float32 whatever the model's
    type: rounded to bfloat16, a click would move by several pixels.
    """

    positional_encoding_gaussian_matrix: Tensor  # [2, C / 2], the checkpoints' name

    def __init__(self, half_dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, half_dim))
        self._grid_of: Tensor | None = None
        self._grid: Tensor | None = None

    def codes(self, xy: Tensor) -> Tensor:
        """Codes [..., C] of positions ``xy`` [..., 2] given as shares of the picture, 0 to 1.

        ``xy`` may be float64: SAM's everything mode computes positions so, and only then rounds.
        """
        matrix = self.positional_encoding_gaussian_matrix
        angles = 2 * math.pi * ((2 * xy.to(matrix.dtype) - 1) @ matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def forward(self, xy: Tensor) -> Tensor:
        return self.codes(xy)

    def grid(self, hw: tuple[int, int]) -> Tensor:
        """The codes of the centres of a grid's cells, [1, C, h, w]; remembered from call to call."""
        matrix = self.positional_encoding_gaussian_matrix
        if self._grid is None or self._grid_of is not matrix or self._grid.shape[-2:] != hw:
            # A tensor made in inference mode could not be used by a training step that comes later.
            with torch.inference_mode(False), torch.no_grad():
                self._grid = self.codes(cell_centres(hw, matrix)).permute(2, 0, 1)[None].contiguous()
            self._grid_of = matrix
        return self._grid

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._grid = None
        super()._load_from_state_dict(*args, **kwargs)


def cell_centres(hw: tuple[int, int], like: Tensor) -> Tensor:
    """(x, y) of the centres of h x w cells as shares of the picture, [h, w, 2].

    >>> cell_centres((1, 2), torch.zeros(())).tolist()
    [[[0.25, 0.5], [0.75, 0.5]]]
    """
    h, w = hw
    y = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) / h
    x = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) / w
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def sine_map(hw: tuple[int, int], dim: int, temperature: float = 10000.0) -> Tensor:
    """The sine code of every cell of a map, float32 [1, dim, h, w]: first half y, second half x.

    Cells count from 1 and are scaled to a full turn, as in SAM 2's ``PositionEmbeddingSine``.

    >>> sine_map((2, 3), 8).shape
    torch.Size([1, 8, 2, 3])
    """
    if dim % 4:
        raise ValueError(f"a sine code of a map needs a width divisible by 4, got {dim}")
    h, w = hw
    y, x = (interleaved_sines(_full_turn(n), dim // 2, temperature) for n in (h, w))
    rows = y.T[:, :, None].expand(-1, h, w)
    columns = x.T[:, None, :].expand(-1, h, w)
    return torch.cat([rows, columns])[None]


def _full_turn(count: int) -> Tensor:
    return torch.arange(1, count + 1, dtype=torch.float32) / (count + 1e-6) * (2 * math.pi)


def interleaved_sines(position: Tensor, dim: int, temperature: float) -> Tensor:
    """The sine code of places, [n] -> [n, dim], sines and cosines in turn."""
    angles = position[:, None] / _wavelengths(dim, temperature).to(position.device)
    return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)


def sine_steps(steps: Tensor, dim: int, temperature: float = 10000.0) -> Tensor:
    """The sine code of distances in time, [n] -> [n, dim]: all sines, then all cosines.

    Answers to ``get_1d_sine_pe`` of SAM 2: unlike :func:`sine_map`, sines and cosines are not
    interleaved.

    >>> sine_steps(torch.tensor([0.0]), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    angles = steps[:, None] / _wavelengths(dim // 2, temperature).to(steps.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _wavelengths(dim: int, temperature: float) -> Tensor:
    pairs = torch.arange(dim, dtype=torch.float32) // 2
    return temperature ** (2 * pairs / dim)
