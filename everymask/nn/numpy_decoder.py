"""The prompt encoder and the mask decoder in NumPy, for one prompt at a time.

A click on a photo that is encoded already is some hundredths of a second of arithmetic, but torch takes more
than a second to import. ``everymask predict`` therefore answers with this file where it can
(``models/without_torch.py``). The rule is that of :mod:`everymask.nn.mask_decoder` and
:mod:`everymask.nn.prompt_encoder`, step by step; ``tests/nn/test_numpy_decoder.py`` holds the two together.

Letters used in shapes: N points, T tokens, M masks, C channels, h x w the embedding grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count, takewhile
from typing import Literal

import numpy as np

Weights = Mapping[str, np.ndarray]
"""Official names of a mask decoder below ``decoder.``, of a prompt encoder below ``prompts.``; float32."""

PAD, BOX_FIRST, BOX_SECOND = -1, 2, 3
TABLE_REACH, TABLE_STEPS = 6, 1024  # of the normal distribution: from -6 to 6, steps in 1


@dataclass(frozen=True)
class Layout:
    """What the weights alone do not say."""

    family: Literal["sam", "sam2"]
    image_size: int
    heads: int
    iou_sigmoid: bool
    high_res: bool
    object_score: bool
    fallback: tuple[float, float] | None = None
    """Offset and threshold of SAM 2's "dynamic multimask", see :mod:`everymask.nn.choice`."""


@dataclass(frozen=True)
class Features:
    """What the encoder knows of one photo."""

    embedding: np.ndarray  # [C, h, w]
    stride4: np.ndarray | None = None  # SAM 2: [C/8, 4h, 4w]
    stride8: np.ndarray | None = None  # and [C/4, 2h, 2w]


@dataclass(frozen=True)
class Part:
    """A part of the weights, by the beginning of their names."""

    weights: Weights
    name: str

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[f"{self.name}.{name}"]

    def __contains__(self, name: str) -> bool:
        return f"{self.name}.{name}" in self.weights

    def part(self, name: str) -> Part:
        """A part of this part."""
        return Part(self.weights, f"{self.name}.{name}")


def decode(
    weights: Weights,
    layout: Layout,
    features: Features,
    points: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """All masks of a prompt: logits [M, 4h, 4w] and predicted IoU [M], float32; mask 0 is the single mask.

    ``points`` [N, 2] in model pixels and ``labels`` [N] as :func:`arranged` gives them; ``mask`` logits
    [4h, 4w] or None.
    """
    prompts, decoder = Part(weights, "prompts"), Part(weights, "decoder")
    hw = features.embedding.shape[1:]
    dense = prompts["no_mask_embed.weight"] if mask is None else _embedded_mask(prompts, mask)
    image = _rows(features.embedding) + dense  # [h * w, C]
    tokens = _tokens(decoder, layout, _embedded_points(prompts, layout, points, labels))
    tokens, image = _two_way(decoder.part("transformer"), layout.heads, tokens, image, _grid(prompts, hw))
    upscaled = _upscaled(decoder.part("output_upscaling"), image, hw, features)  # [C/8, 4h * 4w]
    first = int(layout.object_score)
    masks = tokens[first + 1 : first + 1 + len(decoder["mask_tokens.weight"])]
    hyper = np.stack([_mlp(decoder.part(f"output_hypernetworks_mlps.{i}"), x) for i, x in enumerate(masks)])
    iou = _mlp(decoder.part("iou_prediction_head"), tokens[first])
    if layout.iou_sigmoid:
        iou = 1 / (1 + np.exp(-iou))
    return (hyper @ upscaled).reshape(len(masks), 4 * hw[0], 4 * hw[1]), iou


def arranged(
    family: str, points: np.ndarray, labels: np.ndarray, box: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 2], labels [N] and a box [4] as one list, in the family's order, with its padding point.

    >>> arranged("sam", np.array([[5, 6]]), np.array([1]), np.array([1, 2, 3, 4]))[1].tolist()
    [1, 2, 3]
    >>> arranged("sam2", np.array([[5, 6]]), np.array([1]), np.array([1, 2, 3, 4]))[1].tolist()
    [2, 3, 1, -1]
    """
    corners = np.zeros((0, 2)) if box is None else np.reshape(box, (2, 2))
    kinds = np.zeros(0, int) if box is None else np.array([BOX_FIRST, BOX_SECOND])
    pad, padding = np.zeros((1, 2)), np.array([PAD])
    if family == "sam2":
        ordered, marks = [corners, points, pad], [kinds, labels, padding]
    elif box is None:
        ordered, marks = [points, pad], [labels, padding]
    else:
        ordered, marks = [points, corners], [labels, kinds]
    return np.concatenate(ordered).astype(np.float32), np.concatenate(marks)


def chosen(
    logits: np.ndarray, iou: np.ndarray, multimask: bool, fallback: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The masks to hand on, [M - 1, ...] or the one of [1, ...]: :func:`everymask.nn.choice.choose_masks`."""
    if multimask:
        return logits[1:], iou[1:]
    if fallback is not None:
        offset, threshold = fallback
        inner, outer = np.count_nonzero(logits[0] > offset), np.count_nonzero(logits[0] > -offset)
        if outer and np.float32(inner) / np.float32(outer) < threshold:
            best = 1 + int(iou[1:].argmax())
            return logits[best : best + 1], iou[best : best + 1]
    return logits[:1], iou[:1]


# --- prompts --------------------------------------------------------------------------------------


def _embedded_points(prompts: Part, layout: Layout, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[N, 2], [N] -> [N, C]: where a point lies plus what it means."""
    where = _codes(prompts, (points + np.float32(0.5)) / np.float32(layout.image_size))
    names = ("not_a_point_embed", *(f"point_embeddings.{i}" for i in range(4)))
    kinds = np.concatenate([prompts[f"{name}.weight"] for name in names])
    return where * (labels != PAD)[:, None] + kinds[labels + 1]


def _codes(prompts: Part, xy: np.ndarray) -> np.ndarray:
    """Random Fourier codes [..., C] of shares of the picture [..., 2], float32."""
    matrix = prompts["pe_layer.positional_encoding_gaussian_matrix"]
    angles = np.float32(2 * math.pi) * ((2 * xy - 1) @ matrix)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def _grid(prompts: Part, hw: tuple[int, ...]) -> np.ndarray:
    """The codes of the centres of the grid's cells, [h * w, C]."""
    y, x = ((np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side) for side in hw)
    return _codes(prompts, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))


def _embedded_mask(prompts: Part, mask: np.ndarray) -> np.ndarray:
    """Mask logits [4h, 4w] -> [h * w, C]."""
    layers = prompts.part("mask_downscaling")
    x = mask[None].astype(np.float32)
    for conv, norm in (("0", "1"), ("3", "4")):
        rows = _quartered(x) @ layers[f"{conv}.weight"].reshape(len(layers[f"{conv}.bias"]), -1).T
        rows = _gelu(_normed(rows + layers[f"{conv}.bias"], layers.part(norm), 1e-6))
        x = rows.T.reshape(-1, x.shape[1] // 2, x.shape[2] // 2)
    return _rows(x) @ layers["6.weight"][:, :, 0, 0].T + layers["6.bias"]


def _quartered(x: np.ndarray) -> np.ndarray:
    """A map [C, 2h, 2w] as its squares of 2 x 2 pixels, [h * w, C * 4]."""
    channels, height, width = x.shape
    squares = x.reshape(channels, height // 2, 2, width // 2, 2)
    return squares.transpose(1, 3, 0, 2, 4).reshape(-1, channels * 4)


def _tokens(decoder: Part, layout: Layout, sparse: np.ndarray) -> np.ndarray:
    """(Object,) IoU, masks, prompt: [T, C]."""
    names = ("obj_score_token", "iou_token", "mask_tokens")[0 if layout.object_score else 1 :]
    return np.concatenate([*(decoder[f"{name}.weight"] for name in names), sparse]).astype(np.float32)


# --- attention ------------------------------------------------------------------------------------


def _two_way(
    part: Part, heads: int, tokens: np.ndarray, image: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [T, C] and image tokens [h * w, C] after all rounds of attention in both directions."""
    queries, keys = tokens, image
    for number in takewhile(lambda n: f"layers.{n}.norm1.weight" in part, count()):
        layer = part.part(f"layers.{number}")
        own = queries if number == 0 else queries + tokens
        looked = _attention(layer.part("self_attn"), heads, own, own, queries)
        queries = _normed(looked if number == 0 else queries + looked, layer.part("norm1"))
        placed = keys + position
        looked = _attention(layer.part("cross_attn_token_to_image"), heads, queries + tokens, placed, keys)
        queries = _normed(queries + looked, layer.part("norm2"))
        queries = _normed(queries + _mlp(layer.part("mlp"), queries), layer.part("norm3"))
        looked = _attention(layer.part("cross_attn_image_to_token"), heads, placed, queries + tokens, queries)
        keys = _normed(keys + looked, layer.part("norm4"))
    final = part.part("final_attn_token_to_image")
    looked = _attention(final, heads, queries + tokens, keys + position, keys)
    return _normed(queries + looked, part.part("norm_final_attn")), keys


def _attention(part: Part, heads: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """softmax(q·k / sqrt(D)) v, head by head: [Q, C], [K, C], [K, C] -> [Q, C]."""

    def split(x: np.ndarray) -> np.ndarray:  # [N, D] -> [H, N, D / H]
        return x.reshape(len(x), heads, -1).transpose(1, 0, 2)

    query, key, value = (
        split(_linear(part.part(name), x)) for name, x in (("q_proj", q), ("k_proj", k), ("v_proj", v))
    )
    scores = query @ key.transpose(0, 2, 1)
    scores *= np.float32(query.shape[-1] ** -0.5)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = (scores @ value).transpose(1, 0, 2).reshape(len(q), -1)
    return _linear(part.part("out_proj"), mixed)


# --- reading out ----------------------------------------------------------------------------------


def _upscaled(part: Part, image: np.ndarray, hw: tuple[int, ...], features: Features) -> np.ndarray:
    """Image tokens [h * w, C] -> the map [C/8, 4h * 4w] that masks are read from."""
    height, width = hw
    x = _doubled(image, part.part("0"), height, width)
    if features.stride8 is not None:
        x += _rows(features.stride8)
    x = _gelu(_normed(x, part.part("1"), 1e-6))
    x = _doubled(x, part.part("3"), 2 * height, 2 * width)
    if features.stride4 is not None:
        x += _rows(features.stride4)
    return np.ascontiguousarray(_gelu(x).T)


def _doubled(x: np.ndarray, conv: Part, height: int, width: int) -> np.ndarray:
    """A transposed convolution that makes 2 x 2 pixels of one: [h * w, C] -> [2h * 2w, D]."""
    weight = conv["weight"]  # [C, D, 2, 2]
    channels = weight.shape[1]
    pixels = x @ weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    squares = pixels.reshape(height, width, 2, 2, channels).transpose(0, 2, 1, 3, 4)
    return squares.reshape(-1, channels) + conv["bias"]


# --- layers ---------------------------------------------------------------------------------------


def _rows(x: np.ndarray) -> np.ndarray:
    """A map [C, h, w] as rows [h * w, C]."""
    return np.ascontiguousarray(x.reshape(len(x), -1).T)


def _linear(part: Part, x: np.ndarray) -> np.ndarray:
    return x @ part["weight"].T + part["bias"]


def _mlp(part: Part, x: np.ndarray) -> np.ndarray:
    """Linear layers with ReLU between them, under SAM's names (lin1, lin2) or SAM 2's (layers.0, ...)."""
    layers = (f"layers.{n}" for n in count())
    names = (
        ["lin1", "lin2"]
        if "lin1.weight" in part
        else list(takewhile(lambda name: f"{name}.weight" in part, layers))
    )
    for name in names[:-1]:
        x = np.maximum(_linear(part.part(name), x), 0)
    return _linear(part.part(names[-1]), x)


def _normed(x: np.ndarray, part: Part, eps: float = 1e-5) -> np.ndarray:
    """Layer normalisation of rows [N, C]."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.einsum("nc,nc->n", centred, centred)[:, None] / np.float32(x.shape[-1])
    centred *= 1 / np.sqrt(variance + np.float32(eps))
    return centred * part["weight"] + part["bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function, from a table: off by 3e-8 at most before rounding."""
    value, slope = _normal_table()
    place = np.clip(x, -TABLE_REACH, TABLE_REACH - 1 / TABLE_STEPS)
    place += TABLE_REACH
    place *= TABLE_STEPS
    cell = place.astype(np.int32)
    place -= cell
    place *= slope[cell]
    place += value[cell]
    return place * x


@cache
def _normal_table() -> tuple[np.ndarray, np.ndarray]:
    """The normal distribution function at the steps, and how far it rises to the next one; float32."""
    steps = range(-TABLE_REACH * TABLE_STEPS, TABLE_REACH * TABLE_STEPS + 1)
    exact = np.array([0.5 * math.erfc(-n / TABLE_STEPS / math.sqrt(2)) for n in steps])
    return exact[:-1].astype(np.float32), np.diff(exact).astype(np.float32)
