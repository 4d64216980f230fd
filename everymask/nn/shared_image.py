"""What the mask decoder's shortcut for many prompts knows of an image before it sees a prompt.

The second half of :mod:`everymask.nn.point_decoder`, whose head explains the form
``X = rho * (S + F^T B) + constant`` and the letters: here is all that is made of ``S``, the image, alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from everymask.nn.attention import Attention
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.two_way import TwoWayBlock


@dataclass(frozen=True)
class Basis:
    """What a layer writes with, seen from a later layer norm: centred, and multiplied with the image."""

    with_image: Tensor  # [H, d, N] (or [K, N] for a mask prompt): basis times S, both centred
    constant_with_image: Tensor | None  # [N]: the constant written along, times S

    def cut(self, band: slice) -> Basis:
        constant = self.constant_with_image
        return Basis(self.with_image[..., band], None if constant is None else constant[band])


@dataclass(frozen=True)
class SharedLook:
    """All that one block of the transformer knows of the image before it sees a prompt."""

    keys: Tensor  # [H, d, N] of S, for tokens to image
    keys_constant: Tensor | None  # [H, d, N] of position and constant; None: already in ``keys``
    key_weight: Tensor  # [H, d, C]
    values: Tensor  # [H, N, d] of S
    value_weight: Tensor  # [H, C, d]
    value_constant: Tensor  # [H, 1, d]
    bands: tuple[SharedLook, ...] = ()  # the same of image tokens that are looked at together

    def cut(self, band: slice) -> SharedLook:
        """The same of some image tokens."""
        constant = self.keys_constant
        return replace(
            self,
            keys=self.keys[..., band],
            keys_constant=None if constant is None else constant[..., band],
            values=self.values[:, band],
        )


@dataclass(frozen=True)
class SharedWrite:
    """The way back of one block, image to tokens, and its layer norm."""

    queries: Tensor  # [H, d, N] of S
    queries_constant: Tensor | None  # [H, d, N] of position, constant and bias; None: in ``queries``
    query_weight: Tensor  # [H, d, C]
    basis: Tensor  # [H, d, C] rows of the output projection
    constant: Tensor  # [C] what is added besides: the projection's bias and the constant so far
    gamma: Tensor  # [C] of the layer norm
    eps: float
    image_square: Tensor  # [N]: |S|^2, centred
    bases: tuple[Basis, ...]  # of everything written so far, this layer last
    bands: tuple[SharedWrite, ...] = ()  # the same of image tokens that are written together

    def cut(self, band: slice) -> SharedWrite:
        """The same of some image tokens."""
        constant = self.queries_constant
        return replace(
            self,
            queries=self.queries[..., band],
            queries_constant=None if constant is None else constant[..., band],
            image_square=self.image_square[band],
            bases=tuple(basis.cut(band) for basis in self.bases),
        )


@dataclass(frozen=True)
class Layer:
    """One block of the transformer with what it knows of the image."""

    block: TwoWayBlock
    look: SharedLook
    write: SharedWrite


@dataclass(frozen=True)
class SharedUpscale:
    """The two transposed convolutions as matrices, and the image's part of the first one."""

    image: Tensor  # [N, 4 C/4]
    first: Tensor  # [4 C/4, C]
    first_constant: Tensor  # [4 C/4], or [N, 4 C/4] with SAM 2's stride-8 map
    second: Tensor  # [4 C/8, C/4]
    second_constant: Tensor  # [4 C/8], or [N, 4, 4 C/8] with SAM 2's stride-4 map


@dataclass(frozen=True)
class SharedImage:
    """Everything that the prompts on one image share."""

    layers: tuple[Layer, ...]
    final: SharedLook
    up: SharedUpscale
    bands: tuple[slice, ...]  # of image tokens that are attended to together
    read_bands: tuple[slice, ...]  # and that are read out together


Cut = TypeVar("Cut", SharedLook, SharedWrite)

BAND = 512
"""Image tokens that go through attention together on a CPU: what is made on the way fits the caches."""
READ_BAND = 512
"""Image tokens that become masks together; each has 16 places, so these are fewer."""


def bands_of(tokens: int, device: torch.device, band: int = BAND) -> tuple[slice, ...]:
    """Image tokens in portions for one core; all of them on a GPU."""
    band = band if device.type == "cpu" else tokens
    return tuple(slice(start, min(start + band, tokens)) for start in range(0, tokens, band))


def shared_image(
    decoder: MaskDecoder,
    image: Tensor,  # [1, C, h, w]
    position: Tensor,  # [1, C, h, w]
    high_res: Sequence[Tensor],
    mask_basis: Tensor | None,  # [K, C]
    work: torch.dtype,
) -> SharedImage:
    """Project, centre and multiply all that depends on the image only; ``work`` as in ``PointDecoder``."""
    signal, where = image[0].flatten(1), position[0].flatten(1)  # S^T [C, N]
    constant = torch.zeros_like(signal[:, 0])
    written: list[tuple[Tensor, Tensor | None]] = [] if mask_basis is None else [(mask_basis, None)]
    layers: list[Layer] = []
    bands = bands_of(signal.shape[1], signal.device)

    def in_bands(whole: Cut) -> Cut:
        return replace(whole, bands=tuple(whole.cut(band) for band in bands))

    for block in decoder.transformer.layers:
        assert isinstance(block, TwoWayBlock)
        after_norm = bool(layers)
        look = _shared_look(block.cross_attn_token_to_image, signal, where, constant, work, scaled=after_norm)
        write = _shared_write(block, signal, where, constant, written, work, scaled=after_norm)
        layers.append(Layer(block, in_bands(look), in_bands(write)))
        signal = centred(signal, 0) * write.gamma[:, None]
        written = [
            (centred(basis, -1) * write.gamma, None if c is None else centred(c, -1) * write.gamma)
            for basis, c in [*written, (write.basis, write.constant)]
        ]
        constant = block.norm4.bias
    last = decoder.transformer.final_attn_token_to_image
    final = _shared_look(last, signal, where, constant, work, scaled=True)
    up = _shared_upscale(decoder, signal, constant, [x[0] for x in high_res], work)
    read_bands = bands_of(signal.shape[1], signal.device, READ_BAND)
    return SharedImage(tuple(layers), in_bands(final), up, bands, read_bands)


def _heads(x: Tensor, heads: int) -> Tensor:
    """[D, ...] -> [H, d, ...]."""
    return x.unflatten(0, (heads, -1))


def centred(x: Tensor, dim: int) -> Tensor:
    """``x`` without its mean along ``dim``."""
    return x - x.mean(dim, keepdim=True)


def _in_parts(signal: Tensor, constant: Tensor, scaled: bool) -> tuple[Tensor, Tensor | None]:
    """What ``rho`` scales and what it does not; before the first layer norm there is no ``rho``: one part."""
    return (signal, constant) if scaled else (signal + constant, None)


def _shared_look(
    attention: Attention,
    signal: Tensor,
    where: Tensor,
    constant: Tensor,
    work: torch.dtype,
    *,
    scaled: bool,
) -> SharedLook:
    heads = attention.heads
    key, value = attention.k_proj, attention.v_proj
    # The keys' bias adds the same to all scores of a token: softmax does not see it.
    keys, placed = key.weight @ signal, key.weight @ (where + constant[:, None])
    signal_part, constant_part = _in_parts(keys, placed, scaled)
    return SharedLook(
        keys=_heads(signal_part, heads).to(work),
        keys_constant=None if constant_part is None else _heads(constant_part, heads).to(work),
        key_weight=_heads(key.weight, heads),
        values=_heads(value.weight @ signal, heads).transpose(1, 2).contiguous().to(work),
        value_weight=_heads(value.weight, heads).transpose(1, 2).contiguous(),
        value_constant=_heads(value(constant), heads)[:, None],
    )


def _shared_write(
    block: TwoWayBlock,
    signal: Tensor,
    where: Tensor,
    constant: Tensor,
    written: Sequence[tuple[Tensor, Tensor | None]],
    work: torch.dtype,
    *,
    scaled: bool,
) -> SharedWrite:
    attention, norm = block.cross_attn_image_to_token, block.norm4
    heads, query = attention.heads, attention.q_proj
    basis = _heads(attention.out_proj.weight.T, heads)
    constant_now = attention.out_proj.bias + constant
    centre = centred(signal, 0)
    bases = [
        Basis(
            (centred(rows, -1) @ centre).to(work),
            None if c is None else centred(c, -1) @ centre,
        )
        for rows, c in [*written, (basis, constant_now)]
    ]
    placed = query.weight @ (where + constant[:, None]) + query.bias[:, None]
    signal_part, constant_part = _in_parts(query.weight @ signal, placed, scaled)
    return SharedWrite(
        queries=_heads(signal_part, heads).to(work),
        queries_constant=None if constant_part is None else _heads(constant_part, heads).to(work),
        query_weight=_heads(query.weight, heads),
        basis=basis.contiguous(),
        constant=constant_now,
        gamma=norm.weight,
        eps=norm.eps,
        image_square=centre.square().sum(0),
        bases=tuple(bases),
    )


def _shared_upscale(
    decoder: MaskDecoder, signal: Tensor, constant: Tensor, high_res: Sequence[Tensor], work: torch.dtype
) -> SharedUpscale:
    conv1, _, _, conv2, _ = decoder.output_upscaling
    assert isinstance(conv1, nn.ConvTranspose2d)
    assert isinstance(conv2, nn.ConvTranspose2d)
    assert conv1.bias is not None
    assert conv2.bias is not None
    first, second = _as_matrix(conv1), _as_matrix(conv2)
    first_constant = first @ constant + conv1.bias.repeat(4)
    second_constant = conv2.bias.repeat(4)
    if high_res:
        stride4, stride8 = high_res
        first_constant = first_constant + _blocks(stride8).flatten(1)  # [N, 4 C/4]
        # A cell of the stride-8 map is 2 x 2 cells of the stride-4 map: [2h 2w, 4 C/8] in the cells' order.
        c8, c4 = stride8.shape[1], stride4.shape[2]
        quarter = stride4.view(-1, c8, 2, c4 // 2, 2).permute(1, 3, 2, 4, 0)  # [2h, 2w, 2, 2, C/8]
        quarter = quarter.reshape(c8 // 2, 2, c4 // 4, 2, -1).permute(0, 2, 1, 3, 4)
        second_constant = second_constant + quarter.reshape(first_constant.shape[0], 4, -1)
    return SharedUpscale(
        (signal.T @ first.T).to(work),
        first,
        first_constant.to(work),
        second.to(work),
        second_constant.to(work),
    )


def _as_matrix(conv: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution of stride 2 as a matrix [4 * out, in], the 2 x 2 places before channels."""
    return conv.weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous()


def _blocks(picture: Tensor) -> Tensor:
    """[c, 2h, 2w] -> [h * w, 4, c]: the 2 x 2 places of each cell side by side."""
    c, height, width = picture.shape
    blocks = picture.view(c, height // 2, 2, width // 2, 2).permute(1, 3, 2, 4, 0)
    return blocks.reshape(height * width // 4, 4, c)
