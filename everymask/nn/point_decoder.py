"""The mask decoder for many prompts on one image, with everything they share computed once.

The same mathematics as :class:`everymask.nn.mask_decoder.MaskDecoder` and the same weights, in an order
that never holds the image once per prompt. Per prompt the image tokens ``X`` [N, C] of the plain decoder
stay in factors,

    X = rho * (S + F^T B) + constant

with ``S`` [N, C] shared by all prompts, ``F`` [R, N] the attention weights of the image on the tokens, ``B``
[R, C] what those weights pick up, ``rho`` [N] the scale that a layer norm gave each row, and ``constant``
[C] its bias. The weights of a head add up to one, so those of its last token follow from the others': ``F``
has heads * (tokens - 1) + 1 = 49 or 57 rows a layer, the last one for all heads together. Each step of the
two-way transformer keeps that form:

- image to tokens adds rows to ``F`` and ``B``;
- a layer norm takes means off ``S`` and ``B`` and changes ``rho``, whose variances follow from the products
  ``S S``, ``B S`` and ``B B``;
- tokens to image only needs ``X`` times narrow matrices, and ``S`` times those is shared.

So the projections of the 4096 image tokens, three quarters of the plain decoder's arithmetic and nearly all
of its memory traffic, are done once per image. Masks are read out only for prompts that ask for it:
:meth:`PointDecoder.attend` gives the predicted IoU first, :meth:`PointDecoder.masks` the rest.

Answers to ``MaskDecoder.predict_masks`` and ``TwoWayTransformer`` of segment-anything and sam2; other
rounding, no approximation. docs/lab-notes.md, "Everything mode", has the derivation and what it brings.

Letters used in shapes: P prompts, G of a group, T tokens of a prompt, N = h * w image tokens, C channels,
H heads, D inner width of an attention, d = D / H, R rows of the factors, M masks of a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.nn.attention import Attention, split_heads
from everymask.nn.layers import LayerNorm2d
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.shared_image import (
    Basis,
    SharedImage,
    SharedLook,
    SharedWrite,
    centred,
    shared_image,
)
from everymask.nn.two_way import TwoWayBlock


class Scratch:
    """Tensors that are used again under their name: fresh pages cost more than what is written to them."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._held: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """An uninitialised tensor; the next call under the same name gives the same memory."""
        size = 1
        for side in shape:
            size *= side
        held = self._held.get(name)
        if held is None or held.numel() < size:
            held = self._held[name] = torch.empty(size, dtype=self._like.dtype, device=self._like.device)
        return held[:size].view(shape)


GROUP_TOKENS = 16384
"""So many image tokens of prompts go through attention together: a small image has many prompts in a call,
which would cost more than what it computes; a large one has four, which read what they share once."""


@dataclass(frozen=True)
class Written:
    """What one layer, or mask prompts, wrote to the image tokens of a group, as seen from later layers.

    Of mask prompts, which write the basis itself, both are None.
    """

    coefficients: Tensor | None  # [G, H, T - 1, d] values on the tokens, less the last token's
    last: Tensor | None  # [G, H d] the last token's


@dataclass(frozen=True)
class Folded:
    """The image tokens of a group of prompts in factors; see the head of this file."""

    room: Tensor  # [G, R of all layers, N] memory that the factors grow in
    rows: Tensor  # B [G, R, C]
    rho: Tensor | None  # [G, N]; None: 1
    written: tuple[Written, ...] = ()

    @property
    def factors(self) -> Tensor:
        """F [G, R, N]."""
        return self.room[:, : self.rows.shape[1]]


@dataclass(frozen=True)
class Attended:
    """P prompts after attention: all that a mask is read from, until the decoder attends to others."""

    iou: Tensor  # [P, M] predicted
    mask_tokens: Tensor  # [P, M, C]
    weights: Tensor  # [P, M, C/8] of the upscaled channels in each mask
    images: tuple[Folded, ...]  # the groups


@dataclass
class PointDecoder:
    """Evaluates a :class:`MaskDecoder` for many prompts on one image.

    ``image`` [1, C, h, w] with what all prompts add to it (the no-mask embedding, or the bias of mask
    prompts), ``position`` [1, C, h, w], ``high_res`` SAM 2's maps, ``mask_basis`` [K, C] the last layer of
    the mask-prompt encoder where prompts will have masks. ``work`` is the type of the large products;
    attention weights, norms and what depends on tokens only stay in the type of the weights.
    """

    decoder: MaskDecoder
    hw: tuple[int, int]
    shared: SharedImage
    order: Tensor  # int64 [L N]: which logit of the tokens each of the mask's is; a token has L = 16, or 4
    mask_basis: Tensor | None
    work: torch.dtype
    scratch: Scratch = field(repr=False)

    @classmethod
    def prepare(
        cls,
        decoder: MaskDecoder,
        image: Tensor,
        position: Tensor,
        high_res: Sequence[Tensor] = (),
        *,
        mask_basis: Tensor | None = None,
        work: torch.dtype | None = None,
    ) -> PointDecoder:
        """Do what depends on the image only."""
        work = work or image.dtype
        shared = shared_image(decoder, image, position, high_res, mask_basis, work)
        hw, scratch = (image.shape[-2], image.shape[-1]), Scratch(image.new_empty(0, dtype=work))
        return cls(decoder, hw, shared, token_order(*hw, image.device), mask_basis, work, scratch)

    def twin(self) -> PointDecoder:
        """The same decoder with scratch memory of its own, for another thread."""
        return replace(self, scratch=Scratch(self.scratch("like", 1)))

    def sketching(self) -> PointDecoder:
        """The same decoder, whose masks have half the logits along each side [2h, 2w].

        Each stands for the 2 x 2 that the last convolution makes of a place: it is made with the mean of
        their weights, which costs a quarter. An approximation, to tell what is worth reading out in full.
        """
        up = self.shared.up
        places = up.second.shape[1] // (up.second.shape[0] // 2)

        def mean(x: Tensor) -> Tensor:
            return x.unflatten(-1, (places, -1)).mean(-2)

        sketch = replace(up, second=mean(up.second), second_constant=mean(up.second_constant))
        order = token_order(*self.hw, self.order.device, levels=1)
        return replace(self.twin(), shared=replace(self.shared, up=sketch), order=order)

    def attend(self, sparse: Tensor, mask_factors: Tensor | None = None) -> Attended:
        """The transformer for P prompts: ``sparse`` [P, n, C]; ``mask_factors`` [P, K, N] of mask prompts."""
        transformer = self.decoder.transformer
        tokens = position = self.decoder.tokens(sparse)
        images = self._fresh(len(tokens), tokens.shape[1], mask_factors)
        for layer in self.shared.layers:
            block, back = layer.block, layer.block.cross_attn_image_to_token
            tokens = _self_attention(block, tokens, position)
            looked = self._look(layer.look, block.cross_attn_token_to_image, tokens + position, images)
            tokens = block.norm2(tokens + looked)
            tokens = block.norm3(tokens + block.mlp(tokens))
            keys = split_heads(back.k_proj(tokens + position), back.heads)
            values = split_heads(back.v_proj(tokens), back.heads)
            groups = zip(images, self._grouped(keys), self._grouped(values), strict=True)
            images = [self._write(layer.write, image, key, value) for image, key, value in groups]
        # Only the IoU token and the mask tokens are read: the others need no last look.
        first = int(self.decoder.spec.object_score)
        own = slice(first, first + 1 + self.decoder.spec.masks)
        tokens, position = tokens[:, own], position[:, own]
        last = transformer.final_attn_token_to_image
        tokens = transformer.norm_final_attn(
            tokens + self._look(self.shared.final, last, tokens + position, images)
        )
        iou, masks = self.decoder.iou_prediction_head(tokens[:, 0]), tokens[:, 1:]
        mlps = self.decoder.output_hypernetworks_mlps
        weights = torch.stack([mlp(token) for mlp, token in zip(mlps, masks.unbind(1), strict=True)], dim=1)
        return Attended(iou, masks, weights, tuple(images))

    def masks(self, attended: Attended, prompt: int, which: Sequence[int]) -> Tensor:
        """Mask logits [len(which), 4h, 4w] of one prompt; the same bits whichever others are asked for.

        Of a decoder that is :meth:`sketching` they are [len(which), 2h, 2w].
        """
        group, place = divmod(prompt, self._together)
        return self._read_out(attended.images[group], place, attended.weights[prompt], which)

    @property
    def _together(self) -> int:
        """How many prompts a group has."""
        return max(1, GROUP_TOKENS // (self.hw[0] * self.hw[1]))

    def _grouped(self, x: Tensor) -> tuple[Tensor, ...]:
        """What belongs to prompts [P, ...] in groups [G, ...]."""
        return x.split(self._together)

    # -- tokens to image ---------------------------------------------------------------------------

    def _fresh(self, prompts: int, tokens: int, mask_factors: Tensor | None) -> list[Folded]:
        rows = self.shared.up.first.new_zeros(0, self.decoder.mask_tokens.weight.shape[1])
        written: tuple[Written, ...] = ()
        if mask_factors is not None and self.mask_basis is not None:
            rows, written = self.mask_basis, (Written(None, None),)
        heads = [layer.write.queries.shape[0] for layer in self.shared.layers]
        sides = len(rows) + sum((tokens - 1) * h + 1 for h in heads), self.hw[0] * self.hw[1]
        images = []
        for number, start in enumerate(range(0, prompts, self._together)):
            group = min(self._together, prompts - start)
            room = self.scratch(f"factors {number}", group, *sides)
            images.append(Folded(room, rows.expand(group, -1, -1), None, written))
            if written and mask_factors is not None:
                images[-1].factors.copy_(mask_factors[start : start + group])
        return images

    def _look(
        self, shared: SharedLook, attention: Attention, placed: Tensor, images: Sequence[Folded]
    ) -> Tensor:
        """Tokens [P, t, C] look at the image: [P, t, C]."""
        scale = shared.keys.shape[1] ** -0.5
        queries = split_heads(attention.q_proj(placed), attention.heads) * scale  # [P, H, t, d]
        groups = zip(self._grouped(queries), images, strict=True)
        looked = [self._look_once(shared, query, image) for query, image in groups]
        joined = torch.cat(looked).transpose(1, 2).flatten(2)  # [P, t, D]
        return attention.out_proj(joined)

    def _look_once(self, shared: SharedLook, query: Tensor, image: Folded) -> Tensor:
        """One group: [G, H, t, d] -> [G, H, t, d]."""
        prompts, heads, tokens, width = query.shape
        scores = self._scores("look", query, shared.keys, shared.keys_constant, shared.key_weight, image)
        n = scores.shape[-1]
        weights = self._softmax(scores, -1)  # [G, H, t, N]
        if image.rho is not None:
            weights = weights.mul_(image.rho[:, None, None].to(self.work))
        by_head = weights.transpose(0, 1)
        if prompts > 1:
            by_head = self.scratch("by head", heads, prompts, tokens, n).copy_(by_head)
        out = torch.bmm(by_head.flatten(1, 2), shared.values).to(query.dtype)
        out = out.view(heads, prompts, tokens, width).transpose(0, 1)  # [G, H, t, d]
        if image.written:
            on_rows = torch.bmm(weights.flatten(1, 2), image.factors.transpose(1, 2)).to(query.dtype)
            out = out + _wide_to_heads(torch.bmm(on_rows, image.rows), shared.value_weight)
        return out + shared.value_constant

    def _scores(
        self,
        name: str,
        narrow: Tensor,  # [G, H, t, d]
        signal: Tensor,  # [H, d, N]
        constant: Tensor | None,  # [H, d, N]
        weight: Tensor,  # [H, d, C]
        image: Folded,
    ) -> Tensor:
        """``narrow`` times the projected image tokens, [G, H, t, N]."""
        small = narrow.to(self.work)
        out = self.scratch(f"{name} scores", *narrow.shape[:3], signal.shape[-1])
        self._by_head(out, small, signal)
        if image.written:
            mix = torch.bmm(_heads_to_wide(narrow, weight), image.rows.transpose(1, 2))  # [G, H t, R]
            flat = out.flatten(1, 2)
            torch.baddbmm(flat, mix.to(self.work), image.factors, out=flat)
        if image.rho is not None:
            out.mul_(image.rho[:, None, None].to(self.work))
        if constant is not None:
            self._by_head(out, small, constant, add=True)
        return out

    def _by_head(self, out: Tensor, narrow: Tensor, wide: Tensor, *, add: bool = False) -> None:
        """``narrow`` [G, H, t, d] times ``wide`` [H, d, N] into, or onto, ``out`` [G, H, t, N].

        One product a head for all prompts of the group.
        """
        prompts, heads, tokens, width = narrow.shape
        if prompts == 1:
            torch.baddbmm(out[0], narrow[0], wide, beta=int(add), out=out[0])
            return
        rows = narrow.transpose(0, 1).reshape(heads, prompts * tokens, width)
        by_head = self.scratch("by head", heads, prompts, tokens, wide.shape[-1])
        if add:  # in one product, so that half precision rounds once
            by_head.copy_(out.transpose(0, 1))
        found = by_head.flatten(1, 2)
        torch.baddbmm(found, rows, wide, beta=int(add), out=found)
        out.copy_(by_head.transpose(0, 1))

    def _softmax(self, scores: Tensor, dim: int) -> Tensor:
        return torch.softmax(scores, dim, out=self.scratch("softmax", *scores.shape))

    @property
    def _wide(self) -> torch.dtype:
        return self.shared.up.first.dtype

    # -- image to tokens ---------------------------------------------------------------------------

    def _write(self, shared: SharedWrite, image: Folded, key: Tensor, value: Tensor) -> Folded:
        """One group: the image looks at tokens, ``key`` and ``value`` [G, H, T, d]; then the layer norm."""
        heads, tokens, width = key.shape[1:]
        scores = self._scores(
            "write", key * width**-0.5, shared.queries, shared.queries_constant, shared.query_weight, image
        )
        rank = image.rows.shape[1]
        more = rank + heads * (tokens - 1)
        share = 1.0 if image.rho is None else image.rho.reciprocal()
        self._over_tokens(scores, share, image.room[:, rank:more].unflatten(1, (heads, -1)))
        image.room[:, more] = share
        picked_up = _heads_to_wide(value, shared.basis).unflatten(1, (heads, tokens))  # [G, H, T, C]
        last = picked_up[:, :, -1:]
        apart = (picked_up[:, :, :-1] - last).flatten(1, 2)
        # What is constant goes with the row of ones (or what rho has made of them).
        rows = torch.cat([image.rows, apart, last.sum(1) + shared.constant], dim=1)
        rows = centred(rows, -1)
        mark = Written(value[:, :, :-1] - value[:, :, -1:], value[:, :, -1].flatten(1))
        longer = replace(image, rows=rows, written=(*image.written, mark))
        return replace(longer, rows=rows * shared.gamma, rho=self._norm_scale(shared, longer))

    def _over_tokens(self, scores: Tensor, share: Tensor | float, out: Tensor) -> None:
        """Softmax of ``scores`` [G, H, T, N], which are used up, over T and times ``share`` [G, N].

        ``out`` [G, H, T - 1, N] gets all tokens but the last. Step by step, since ``torch.softmax`` over an
        axis in the middle takes 1.7 times as long.
        """
        scores.sub_(scores.amax(2, keepdim=True)).exp_()
        total = scores.sum(2, keepdim=True, dtype=self._wide)
        scale = share / total if isinstance(share, float) else torch.div(share[:, None, None], total)
        torch.mul(scores[:, :, :-1], scale.to(self.work), out=out)

    def _norm_scale(self, shared: SharedWrite, image: Folded) -> Tensor:
        """What the layer norm makes of ``rho``: [G, N]."""
        factors, rows, rho = image.factors, image.rows, image.rho
        products = self.scratch("norm", *factors.shape)  # [G, R, N]
        start = 0
        for basis, mark in zip(shared.bases, image.written, strict=True):
            start += self._linear_term(products[:, start:], basis, mark)
        squares = torch.bmm(rows, rows.transpose(1, 2)).to(self.work)
        torch.baddbmm(products, squares, factors, beta=2, out=products)
        products.mul_(factors)
        variance = (products.sum(1, dtype=self._wide) + shared.image_square).clamp_min_(0) / rows.shape[2]
        if rho is None:
            return (variance + shared.eps).rsqrt_()
        return rho * (variance.mul_(rho).mul_(rho) + shared.eps).rsqrt_()

    def _linear_term(self, out: Tensor, basis: Basis, mark: Written) -> int:
        """Rows times image into the head of ``out`` [G, .., N]; how many rows that were."""
        if mark.coefficients is None or mark.last is None:
            count = len(basis.with_image)
            out[:, :count] = basis.with_image
            return count
        _, heads, tokens, _ = mark.coefficients.shape
        count = heads * tokens
        view = out[:, :count].unflatten(1, (heads, tokens))
        self._by_head(view, mark.coefficients.to(self.work), basis.with_image)
        last = torch.mm(mark.last, basis.with_image.flatten(0, 1).to(mark.last.dtype))  # [G, N]
        assert basis.constant_with_image is not None, "rows folded into others leave a constant"
        out[:, count] = last + basis.constant_with_image
        return count + 1

    # -- reading out masks -------------------------------------------------------------------------

    def _read_out(self, image: Folded, place: int, hyper: Tensor, which: Sequence[int]) -> Tensor:
        """Upscaling and the product with ``hyper`` [M, C/8], a band of image tokens at a time.

        ``place`` is the prompt's among those of the group. The product is with all masks, whichever are
        wanted: with fewer rows other sums would round otherwise (and four take no longer than three).
        """
        assert image.rho is not None
        (h, w), masks = self.hw, len(hyper)
        each = len(self.order) // (h * w)  # logits of a token
        side = 2 if each == 4 else 4
        mixed = (image.rows[place] @ self.shared.up.first).to(self.work)  # [R, 4 C/4]
        factors, rho = image.factors[place], image.rho[place]
        logits = self.scratch("logits", masks, h * w * each)
        for start in range(0, h * w, BAND):
            band = slice(start, min(start + BAND, h * w))
            fine = self._fine(self._coarse(factors, rho, mixed, band), band)
            torch.mm(hyper.to(self.work), fine.T, out=logits[:, band.start * each : band.stop * each])
        wanted = [logits[mask].index_select(0, self.order) for mask in which]
        return torch.stack(wanted).view(-1, side * h, side * w).to(hyper.dtype)

    def _coarse(self, factors: Tensor, rho: Tensor, mixed: Tensor, band: slice) -> Tensor:
        """After the first convolution, its norm and activation: [4 N', C/4] for N' tokens."""
        up, norm = self.shared.up, self.decoder.output_upscaling[1]
        assert isinstance(norm, LayerNorm2d)
        count, width = band.stop - band.start, mixed.shape[1]
        mapped = self.scratch("coarse", count, width)
        constant = up.first_constant if up.first_constant.dim() == 1 else up.first_constant[band]
        scale = rho[band].to(self.work)
        torch.addcmul(constant, up.image[band], scale[:, None], out=mapped)
        torch.addmm(mapped, (factors[:, band] * scale).T, mixed, out=mapped)
        normed = F.layer_norm(mapped.view(count * 4, -1), norm.weight.shape, norm.weight, norm.bias, norm.eps)
        return torch.ops.aten.gelu_(normed)

    def _fine(self, coarse: Tensor, band: slice) -> Tensor:
        """After the second convolution and its activation: [L N', C/8]."""
        constant = self.shared.up.second_constant
        if constant.dim() > 1:
            constant = constant[band].flatten(0, 1)
        mapped = self.scratch("fine", len(coarse), self.shared.up.second.shape[1])
        torch.addmm(constant, coarse, self.shared.up.second, out=mapped)
        return torch.ops.aten.gelu_(mapped).view(-1, coarse.shape[1] // 2)


BAND = 1024
"""Image tokens upscaled together: what they become on the way fits a core's cache."""


def token_order(height: int, width: int, device: torch.device, levels: int = 2) -> Tensor:
    """Where each logit of a mask [4h, 4w] lies when tokens come one after the other, int64 [16 h w].

    A token's 16 logits are in the order of the two convolutions: 2 x 2 places of 2 x 2 places. After
    the first one alone (``levels`` 1) the mask is [2h, 2w] and a token has 4.
    """
    places = torch.arange(4**levels * height * width, device=device)
    places = places.view(height, width, *[2] * (2 * levels))
    down, along = range(2, 2 + 2 * levels, 2), range(3, 3 + 2 * levels, 2)
    return places.permute(0, *down, 1, *along).flatten()


def _heads_to_wide(narrow: Tensor, weight: Tensor) -> Tensor:
    """``narrow`` [G, H, t, d] times ``weight`` [H, d, C], one product a head: [G, H t, C]."""
    prompts, heads, tokens, width = narrow.shape
    wide = torch.bmm(narrow.transpose(0, 1).reshape(heads, prompts * tokens, width), weight)
    return wide.view(heads, prompts, tokens, -1).transpose(0, 1).flatten(1, 2)


def _wide_to_heads(wide: Tensor, weight: Tensor) -> Tensor:
    """``wide`` [G, H t, C] times ``weight`` [H, C, d], one product a head: [G, H, t, d]."""
    prompts, _, channels = wide.shape
    by_head = wide.view(prompts, len(weight), -1, channels).transpose(0, 1)
    narrow = torch.bmm(by_head.reshape(len(weight), -1, channels), weight)
    return narrow.view(len(weight), prompts, -1, narrow.shape[-1]).transpose(0, 1)


def _self_attention(block: TwoWayBlock, tokens: Tensor, position: Tensor) -> Tensor:
    if block.first:
        return block.norm1(block.self_attn(tokens, tokens, tokens))
    placed = tokens + position
    return block.norm1(tokens + block.self_attn(placed, placed, tokens))
