"""Weights drawn from a seed, key by key, so that two models of one architecture get the same ones.

Each tensor depends on its official key name, its shape and the seed only. The scales are chosen so
that what comes out spreads as with trained weights: mask logits by several units, predicted IoUs
between about 0.3 and 1, attention neither flat nor one-hot, object scores of both signs but mostly
positive. Differences "relative to the spread" then mean something.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def seeded_state(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Tensor]:
    """A float32 tensor for each official key."""
    return {key: _seeded(key, tuple(shape), seed) for key, shape in shapes.items()}


def fill(official: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Put seeded weights into a model with official key names; the state that went in."""
    state = seeded_state({key: value.shape for key, value in official.state_dict().items()}, seed)
    official.load_state_dict(state, strict=True)
    return state


def _seeded(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{key}".encode()))
    return _centre(key, shape) + _scale(key, shape) * torch.randn(shape, generator=generator)


def _centre(key: str, shape: tuple[int, ...]) -> float:
    if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):  # the gain of a norm
        return 1.0
    if "iou_prediction_head" in key and key.endswith(".2.bias"):
        return 0.9
    if "pred_obj_score_head" in key and key.endswith(".2.bias"):
        return 2.0
    return 0.0


def _scale(key: str, shape: tuple[int, ...]) -> float:
    if "gaussian_matrix" in key:
        return 1.0
    if len(shape) == 1:
        return 0.1
    if any(part in key for part in _EMBEDDINGS):
        return 0.7
    if any(part in key for part in _OFFSETS):
        return 0.2
    return _gain(key) / _fan_in(key, shape) ** 0.5


_EMBEDDINGS = ("_token.weight", "_tokens.weight", "point_embeddings", "not_a_point", "no_mask_embed")
_OFFSETS = ("pos_embed", "rel_pos", "attention_biases", "tpos_enc", "no_mem_", "no_obj_")


def _gain(key: str) -> float:
    for part, gain in _GAINS.items():
        if part in key:
            return gain
    return 1.0


_GAINS = {
    "output_hypernetworks_mlps.0.layers.2": 6.0,
    "output_hypernetworks_mlps.1.layers.2": 6.0,
    "output_hypernetworks_mlps.2.layers.2": 6.0,
    "output_hypernetworks_mlps.3.layers.2": 6.0,
    "sam_mask_decoder.iou_prediction_head.layers.2": 1.0,  # SAM 2 puts a sigmoid behind it
    "mask_decoder.iou_prediction_head.layers.2": 0.25,
    # what a block adds to its input, so that many blocks do not add up to large numbers
    "attn.proj.": 0.5,
    "mlp.layers.1.": 0.5,
    "mlp.lin2.": 0.5,
    "narrow": 0.4,
    "neck.convs.": 0.4,
    "conv_s": 0.7,
    "mask_decoder.pred_obj_score_head.layers.2": 6.0,
    "q_proj": 1.7,
    "k_proj": 1.7,
    # nano's own trunk
    "pixels.0": 0.5,
    "widen.0": 0.7,
    "qkv": 0.7,
    ".out.": 0.3,
}
"""By part of the key, the first that fits."""


def _fan_in(key: str, shape: tuple[int, ...]) -> int:
    if "output_upscaling" in key:  # transposed convolution: [in, out, 2, 2], each output has one tap
        return shape[0]
    return max(1, torch.Size(shape[1:]).numel())
