"""Trained weights at the official models' size: nano's decoder widened from 128 to 256 channels.

Official checkpoints are no part of this repository, and weights drawn from a seed give ragged masks that all
cover the whole photo. So the benchmarks borrow what nano has learnt. Each of its channels is put in twice,
and what reads two copies gets half the weight: a layer norm of doubled channels is the doubled layer norm,
eight heads of which two each are equal are four heads. So the wide decoder says what nano's says, at the
full cost of the official shapes. Encoders keep seeded weights and are run in full; then nano's features of
the same pixels take the place of what they gave.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.media.photos import read_photo
from everymask.models.base import PromptableModel
from everymask.models.load import load
from everymask.models.sam2 import Sam2

NARROW, WIDE = 128, 256


def widen_decoder(model: PromptableModel, nano: Sam2) -> None:
    """Put nano's prompt encoder and mask decoder into a model of 256 channels, in place."""
    _fill(model.decoder, nano.decoder)
    _fill(model.prompts, nano.prompts)
    if isinstance(model, Sam2):
        with torch.no_grad():
            model.no_mem_embed.copy_(nano.no_mem_embed[..., residual_map()])


def residual_map() -> Tensor:
    """Which of nano's channels each wide one is: halves doubled, as position codes are (sines, cosines)."""
    sines, cosines = torch.arange(NARROW).chunk(2)
    return torch.cat([sines, sines, cosines, cosines])


@torch.no_grad()
def _fill(wide: nn.Module, narrow: nn.Module) -> None:
    source = narrow.state_dict()
    for name, target in wide.state_dict().items():
        own = name.replace(".mlp.lin1.", ".mlp.layers.0.").replace(".mlp.lin2.", ".mlp.layers.1.")
        target.copy_(_widened(name, source[own].float(), target.shape))


def _widened(name: str, weight: Tensor, shape: torch.Size) -> Tensor:
    """A tensor of nano repeated to ``shape``; axes that are summed over are divided by their copies."""
    summed = _summed_axis(name, weight)
    for axis, (have, want) in enumerate(zip(weight.shape, shape, strict=True)):
        if have == want:
            continue
        weight = weight.index_select(axis, _copies(name, axis, summed, have, want))
        if axis == summed:
            weight = weight * (have / want)
    # A mask logit is a product over the channels of the map: doubled channels count half.
    return weight / 2 if "output_hypernetworks_mlps" in name and ".layers.2." in name else weight


def _summed_axis(name: str, weight: Tensor) -> int | None:
    if weight.ndim < 2 or not name.endswith("weight") or any(part in name for part in _TABLES):
        return None
    return 0 if "output_upscaling" in name else 1


_TABLES = ("token.weight", "tokens.weight", "embeddings.", "embed.weight", "gaussian")
_INNER = ("q_proj", "k_proj", "v_proj")  # heads; everything else of 128 channels is the residual stream


def _copies(name: str, axis: int, summed: int | None, have: int, want: int) -> Tensor:
    """For each wide channel of an axis the narrow one."""
    inside_attention = any(part in name for part in _INNER)
    residual = have == NARROW and want == WIDE and not (inside_attention and axis != summed)
    if "out_proj.weight" in name and axis == summed:
        residual = False
    return residual_map() if residual else torch.arange(want) % have


class Transplanted(nn.Module):
    """An image encoder that works in full and then hands on nano's features of the same pixels.

    ``official`` makes it answer as the official SAM 2 encoder does, with a dict.
    """

    def __init__(self, encoder: Any, nano: Sam2, family: str, *, official: bool = False) -> None:
        super().__init__()
        self.encoder, self.nano = encoder, nano
        self.family, self.official = family, official
        self.img_size = getattr(encoder, "img_size", None)

    def forward(self, pixels: Tensor, *heads: Any) -> Any:
        answer = self.encoder(pixels, *heads)
        maps = self._maps(pixels.float())
        if self.family == "sam":
            return maps[-1].to(answer.dtype)
        if self.official:
            return {**answer, "backbone_fpn": maps, "vision_features": maps[-1]}
        narrow = [head(x) for head, x in zip(heads[0], maps, strict=False)] if heads else maps[:2]
        return [*narrow, maps[2]]

    def _maps(self, pixels: Tensor) -> list[Tensor]:
        """nano's pyramid of normalised pixels [B, 3, S, S], stretched and doubled: strides 4, 8, 16."""
        small = F.interpolate(pixels, (self.nano.spec.image_size,) * 2, mode="area")
        with torch.autocast(pixels.device.type, enabled=False):
            maps = self.nano.image_encoder(small)
        side = pixels.shape[-1]
        wide = [
            F.interpolate(x, (side // stride,) * 2, mode="bilinear", align_corners=False)[:, residual_map()]
            for x, stride in zip(maps, (4, 8, 16), strict=True)
        ]
        if self.family == "sam":  # what SAM 2 adds for "no memory" belongs to the features here
            wide[-1] = wide[-1] + self.nano.no_mem_embed.reshape(1, -1, 1, 1)[:, residual_map()]
        return wide


@functools.cache
def lender(family: str, photo_path: str) -> Sam2:
    """The bundled model in float32, as the family's decoder can use it."""
    nano = load("nano", dtype=torch.float32)
    assert isinstance(nano, Sam2)
    return nano if family == "sam2" else without_high_res(nano, read_photo(photo_path))


@torch.no_grad()
def without_high_res(nano: Sam2, photo: np.ndarray) -> Sam2:
    """A copy of nano for SAM's decoder, which has no high-resolution maps.

    What they add on this photo is put into the transposed convolutions as far as it can be told from the
    coarse features: the stride-8 map by least squares, the stride-4 map by its mean.
    """
    model = copy.deepcopy(nano)
    side = max(photo.shape[:2])
    square = np.full((side, side, 3), 114, np.uint8)  # as SAM pads: with its mean colour
    square[: photo.shape[0], : photo.shape[1]] = photo
    features = model.encode_image(model.preprocess(square)[None])
    stride4, stride8 = features.high_res
    known = features.embedding[0].flatten(1).T  # [N, C]
    mean8, mean4 = (x[0].mean((1, 2)) for x in (stride8, stride4))
    wanted = (
        F.pixel_unshuffle(stride8 - mean8.view(1, -1, 1, 1), 2)[0].flatten(1).T
    )  # [N, C/4 x rows x columns]
    ridge = 1e-2 * len(known) * torch.eye(known.shape[1])
    taps = torch.linalg.solve(known.T @ known + ridge, known.T @ wanted).unflatten(1, (-1, 2, 2))
    first, _, _, second, _ = model.decoder.output_upscaling
    for layer, more in ((first, mean8), (second, mean4)):
        assert isinstance(layer, nn.ConvTranspose2d)
        assert layer.bias is not None
        layer.bias += more
    first.weight += taps  # type: ignore[operator]
    return model
