"""``sam2.modeling.position_encoding``: sines of maps, random directions of points, rotations of tokens."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from everymask.compat.parts import PositionEmbeddingRandom
from everymask.errors import OptionError
from everymask.nn.memory.rope import grid_rotation
from everymask.nn.position import interleaved_sines

__all__ = [
    "PositionEmbeddingRandom",
    "PositionEmbeddingSine",
    "apply_rotary_enc",
    "compute_axial_cis",
    "init_t_xy",
    "reshape_for_broadcast",
]


class PositionEmbeddingSine(nn.Module):
    """The sine code of the cells of a map, [B, C, h, w]; kept by size."""

    def __init__(
        self,
        num_pos_feats: int,
        temperature: int = 10000,
        normalize: bool = True,
        scale: float | None = None,
        warmup_cache: bool = True,
        image_size: int = 1024,
        strides: tuple[int, ...] = (4, 8, 16, 32),
    ) -> None:
        """The last three are for compiling on a GPU; nothing is compiled here."""
        super().__init__()
        if num_pos_feats % 2:
            raise OptionError(f"num_pos_feats must be even, got {num_pos_feats}")
        if scale is not None and not normalize:
            raise OptionError("normalize should be True if scale is passed")
        self.num_pos_feats = num_pos_feats // 2
        self.temperature, self.normalize = temperature, normalize
        self.scale = 2 * math.pi if scale is None else scale
        self.cache: dict[tuple[Any, ...], Tensor] = {}

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self._pe(len(x), x.device, x.shape[-2], x.shape[-1])

    @torch.no_grad()
    def _pe(self, B: int, device: torch.device, *cache_key: int) -> Tensor:
        if cache_key not in self.cache:
            with torch.inference_mode(False):  # kept for training too
                self.cache[cache_key] = self._map(*cache_key)
        self.cache[cache_key] = self.cache[cache_key].to(device)
        return self.cache[cache_key].expand(B, -1, -1, -1)

    def _map(self, height: int, width: int) -> Tensor:
        """[C, h, w]: first half rows, second half columns."""
        y, x = (self._codes(self._places(count)) for count in (height, width))
        return torch.cat([y.T[:, :, None].expand(-1, height, width), x.T[:, None].expand(-1, height, width)])

    def _places(self, count: int) -> Tensor:
        places = torch.arange(1, count + 1, dtype=torch.float32)
        return places / (count + 1e-6) * self.scale if self.normalize else places

    def _codes(self, places: Tensor) -> Tensor:
        return interleaved_sines(places, self.num_pos_feats, self.temperature)

    def _encode_xy(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of places from 0 to 1, [n, C / 2] each."""
        return self._codes(x * self.scale), self._codes(y * self.scale)

    @torch.no_grad()
    def encode_boxes(self, x: Tensor, y: Tensor, w: Tensor, h: Tensor) -> Tensor:
        """Codes of the centres [n], then height and width: [n, C + 2]."""
        across, down = self._encode_xy(x, y)
        return torch.cat([down, across, h[:, None], w[:, None]], dim=1)

    encode = encode_boxes

    @torch.no_grad()
    def encode_points(self, x: Tensor, y: Tensor, labels: Tensor) -> Tensor:
        """Codes of points [B, n], then their labels: [B, n, C + 1]."""
        across, down = (code.unflatten(0, x.shape) for code in self._encode_xy(x.flatten(), y.flatten()))
        return torch.cat([down, across, labels[:, :, None]], dim=2)


def init_t_xy(end_x: int, end_y: int) -> tuple[Tensor, Tensor]:
    """Column and row of every token of a grid, row by row."""
    index = torch.arange(end_x * end_y, dtype=torch.float32)
    return (index % end_x).float(), torch.div(index, end_x, rounding_mode="floor").float()


def compute_axial_cis(dim: int, end_x: int, end_y: int, theta: float = 10000.0) -> Tensor:
    """The turn of every token of a grid, complex [end_x * end_y, dim / 2]."""
    turn = grid_rotation(dim, (int(end_y), int(end_x)), theta=theta)
    return torch.complex(turn.cos, turn.sin)


def reshape_for_broadcast(freqs_cis: Tensor, x: Tensor) -> Tensor:
    """``freqs_cis`` with leading axes of length 1, as many as ``x`` has."""
    return freqs_cis.view(*[1] * (x.ndim - 2), *x.shape[-2:])


def apply_rotary_enc(
    xq: Tensor, xk: Tensor, freqs_cis: Tensor, repeat_freqs_k: bool = False
) -> tuple[Tensor, Tensor]:
    """Queries and keys [B, heads, n, D] turned by their places; with ``repeat_freqs_k`` keys lie on several
    grids behind one another."""
    times = xk.shape[-2] // xq.shape[-2] if repeat_freqs_k else 1
    return _turned(xq, freqs_cis), _turned(xk, freqs_cis.repeat(times, 1)) if xk.shape[-2] else xk


def _turned(x: Tensor, by: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * by.to(x.device)).flatten(-2).type_as(x)
