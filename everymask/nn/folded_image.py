"""The image tokens of many prompts in factors, and attention from and to them, a band of tokens at a time.

The middle of :mod:`everymask.nn.point_decoder`, whose head explains the form
``X = rho * (S + F^T B) + constant`` and the letters. Attention of the image to the tokens and the layer norm
behind it treat each image token by itself, and what the tokens see next depends on the tokens alone. So one
pass over the image writes a layer and looks at what it wrote, and what is made on the way is that of a band.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from everymask.nn.attend import LOG2_E
from everymask.nn.shared_image import Basis, SharedLook, SharedWrite, centred

GROUP_TOKENS = 32768
"""So many image tokens of prompts go through attention together: a small image has many prompts in a call,
which would cost more than what it computes; a large one has eight, which read what they share once."""


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


@dataclass(frozen=True)
class Written:
    """What one layer, or mask prompts, wrote to the image tokens of a group, as seen from later layers.

    Of mask prompts, which write the basis itself, both are None.
    """

    coefficients: Tensor | None  # [G, H, T - 1, d] values on the tokens, less the last token's
    last: Tensor | None  # [G, H d] the last token's


@dataclass(frozen=True)
class Folded:
    """The image tokens of a group of prompts in factors."""

    room: Tensor  # [G, R of all layers, N] memory that the factors grow in
    rows: Tensor  # B [G, R, C]
    rho: Tensor | None  # [G, N]; None: 1
    written: tuple[Written, ...] = ()

    @property
    def factors(self) -> Tensor:
        """F [G, R, N]."""
        return self.room[:, : self.rows.shape[1]]


@dataclass(frozen=True)
class _Asked:
    """What tokens compare image tokens with."""

    shape: tuple[int, int]  # G, t
    by_head: Tensor  # [H, G t, d]
    mix: Tensor | None  # [G, H t, R] the same, compared with the rows written so far


@dataclass(frozen=True)
class _Marked:
    """:class:`Written` with the prompts of a head side by side."""

    tokens: int  # T - 1
    by_head: Tensor  # [H, G (T - 1), d]
    last: Tensor  # [G, H d]


@dataclass(frozen=True)
class Writing:
    """A layer that is about to write to the image tokens of a group: all that does not depend on these."""

    shared: SharedWrite
    scores: _Asked
    before: Folded
    after: Folded  # but for its ``rho``
    marks: tuple[_Marked | None, ...]  # of ``after.written``
    squares: Tensor  # [G, R, R] products of the rows, centred; those of old rows and new ones twice


@dataclass(frozen=True)
class Bands:
    """Passes over the image tokens of a group of prompts."""

    slices: tuple[slice, ...]  # of N tokens
    work: torch.dtype  # of the large products
    scratch: Scratch

    def prepare_writing(self, shared: SharedWrite, image: Folded, key: Tensor, value: Tensor) -> Writing:
        """The image will look at tokens, ``key`` and ``value`` [G, H, T, d]."""
        heads, tokens, width = key.shape[1:]
        picked_up = heads_to_wide(value, shared.basis).unflatten(1, (heads, tokens))  # [G, H, T, C]
        last = picked_up[:, :, -1:]
        apart = (picked_up[:, :, :-1] - last).flatten(1, 2)
        # What is constant goes with the row of ones (or what rho has made of them).
        rank = image.rows.shape[1]
        rows = centred(torch.cat([image.rows, apart, last.sum(1) + shared.constant], dim=1), -1)
        mark = Written(value[:, :, :-1] - value[:, :, -1:], value[:, :, -1].flatten(1))
        after = Folded(image.room, rows * shared.gamma, None, (*image.written, mark))
        scores = self._asked(key * (LOG2_E * width**-0.5), shared.query_weight, image.rows)
        marks = tuple(self._marked(mark) for mark in after.written)
        squares = torch.bmm(rows, rows.transpose(1, 2)).to(self.work)
        squares[:, :rank, rank:] *= 2  # stand for those below, too: a quarter less to multiply
        return Writing(shared, scores, image, after, marks, squares)

    def look(
        self, shared: SharedLook, query: Tensor, image: Folded, writing: Writing | None
    ) -> tuple[Tensor, Folded]:
        """What ``query`` [G, H, t, d] sees of the image after ``writing``: [G, H, t, d]; and that image."""
        prompts, heads, tokens, width = query.shape
        if writing is not None:
            image = replace(writing.after, rho=query.new_empty(prompts, self.slices[-1].stop))
        asked = self._asked(query * (LOG2_E * width**-0.5), shared.key_weight, image.rows)
        rank = image.rows.shape[1]
        peak = query.new_full((heads, prompts, tokens, 1), -torch.inf)
        total = torch.zeros_like(peak)
        average = query.new_zeros(heads, prompts, tokens, width)
        on_rows = query.new_zeros(prompts, heads, tokens, rank)
        for number, band in enumerate(self.slices):
            if writing is not None:
                self._write(writing, image, number, band)
            rho = None if image.rho is None else image.rho[:, None, band].to(self.work)  # [G, 1, n]
            factors = image.room[:, :rank, band]
            here = shared.bands[number]
            scores = self._scores(asked, here.keys, here.keys_constant, factors, rho)  # [H, G, t, n]
            higher = torch.maximum(peak, scores.amax(-1, keepdim=True))
            scores.sub_(higher).exp2_()
            fading, peak = torch.exp2(peak.sub_(higher)), higher
            total.mul_(fading).add_(scores.sum(-1, keepdim=True, dtype=total.dtype))
            if rho is not None:
                scores.mul_(rho)
            seen = torch.bmm(scores.flatten(1, 2), here.values)
            average.mul_(fading).add_(seen.view(average.shape))
            if rank:
                by_prompt = self.scratch("by prompt", prompts, heads, tokens, scores.shape[-1])
                by_prompt.copy_(scores.transpose(0, 1))
                found = torch.bmm(by_prompt.flatten(1, 2), factors.transpose(1, 2))
                on_rows.mul_(fading.transpose(0, 1)).add_(found.view(on_rows.shape))
        out = average.div_(total).transpose(0, 1)  # [G, H, t, d]
        if rank:
            on_rows = on_rows.div_(total.transpose(0, 1)).flatten(1, 2)
            out = out + wide_to_heads(torch.bmm(on_rows, image.rows), shared.value_weight)
        return out + shared.value_constant, image

    def _asked(self, narrow: Tensor, weight: Tensor, rows: Tensor) -> _Asked:
        """``narrow`` [G, H, t, d] as it is compared with image tokens; ``weight`` [H, d, C] projects rows."""
        mix = None
        if rows.shape[1]:
            mix = torch.bmm(heads_to_wide(narrow, weight), rows.transpose(1, 2)).to(self.work)  # [G, H t, R]
        prompts, heads, tokens, width = narrow.shape
        by_head = narrow.transpose(0, 1).reshape(heads, prompts * tokens, width)
        return _Asked((prompts, tokens), by_head.to(self.work), mix)

    def _marked(self, mark: Written) -> _Marked | None:
        if mark.coefficients is None or mark.last is None:
            return None
        prompts, heads, tokens, width = mark.coefficients.shape
        by_head = mark.coefficients.transpose(0, 1).reshape(heads, prompts * tokens, width)
        return _Marked(tokens, by_head.to(self.work), mark.last)

    def _scores(
        self, asked: _Asked, signal: Tensor, constant: Tensor | None, factors: Tensor, rho: Tensor | None
    ) -> Tensor:
        """Scores [H, G, t, n] of what is asked and a band of image tokens.

        ``signal`` and ``constant`` are [H, d, n], ``factors`` [G, R, n], ``rho`` [G, 1, n].
        """
        (prompts, tokens), heads, n = asked.shape, len(signal), signal.shape[-1]
        scores = self.scratch("scores", heads, prompts, tokens, n)
        flat = scores.flatten(1, 2)
        if asked.mix is None:
            torch.bmm(asked.by_head, signal, out=flat)
        else:
            by_prompt = self.scratch("by prompt", prompts, heads, tokens, n)
            torch.bmm(asked.mix, factors, out=by_prompt.flatten(1, 2))
            scores.copy_(by_prompt.transpose(0, 1))
            torch.baddbmm(flat, asked.by_head, signal, out=flat)
        if rho is not None:
            scores.mul_(rho)
        if constant is not None:  # in one product, so that half precision rounds once
            torch.baddbmm(flat, asked.by_head, constant, out=flat)
        return scores

    def _write(self, writing: Writing, image: Folded, number: int, band: slice) -> None:
        """The image tokens of a band look at tokens, into the factors; then the layer norm, into ``rho``."""
        before, here = writing.before, writing.shared.bands[number]
        assert image.rho is not None
        rank, more = before.rows.shape[1], image.rows.shape[1] - 1
        room = image.room[:, :, band]
        old = None if before.rho is None else before.rho[:, band]
        scores = self._scores(
            writing.scores,
            here.queries,
            here.queries_constant,
            room[:, :rank],
            None if old is None else old[:, None].to(self.work),
        )
        share = 1.0 if old is None else old.reciprocal()
        # Step by step, since torch.softmax over an axis in the middle takes 1.7 times as long.
        scores.sub_(scores.amax(2, keepdim=True)).exp2_()
        total = scores.sum(2, keepdim=True, dtype=image.rho.dtype)  # [H, G, 1, n]
        scale = share / total if isinstance(share, float) else torch.div(share[:, None], total)
        out = room[:, rank:more].unflatten(1, (len(scores), -1)).transpose(0, 1)
        torch.mul(scores[:, :, :-1], scale.to(self.work), out=out)
        room[:, more] = share
        image.rho[:, band] = self._norm_scale(writing, here, room[:, : more + 1], old)

    def _norm_scale(self, writing: Writing, here: SharedWrite, factors: Tensor, rho: Tensor | None) -> Tensor:
        """What the layer norm makes of ``rho``, [G, n]; ``factors`` [G, R, n]."""
        rank, variance = writing.before.rows.shape[1], here.image_square
        # Rows of before and of now apart: a group's products go in one call only into contiguous memory.
        parts = (("before", slice(0, rank), 0, slice(-1)), ("now", slice(rank, None), rank, slice(-1, None)))
        for name, rows, first, terms in parts:
            squares = writing.squares[:, rows, first:]
            products = self.scratch(f"norm {name}", len(factors), squares.shape[1], factors.shape[2])
            torch.bmm(squares, factors[:, first:], out=products)
            start = 0
            for basis, mark in zip(here.bases[terms], writing.marks[terms], strict=True):
                start += self._add_linear_term(products[:, start:], basis, mark)
            variance = products.mul_(factors[:, rows]).sum(1, dtype=self._wide(here)) + variance
        variance = variance.clamp_min_(0) / len(here.gamma)
        if rho is None:
            return (variance + here.eps).rsqrt_()
        return rho * (variance.mul_(rho).mul_(rho) + here.eps).rsqrt_()

    @staticmethod
    def _wide(here: SharedWrite) -> torch.dtype:
        return here.gamma.dtype

    def _add_linear_term(self, out: Tensor, basis: Basis, mark: _Marked | None) -> int:
        """Adds twice the products of rows and image to the head of ``out`` [G, .., n]; how many rows."""
        if mark is None:
            count = len(basis.with_image)
            out[:, :count].add_(basis.with_image, alpha=2)
            return count
        heads, n = len(mark.by_head), out.shape[-1]
        found = self.scratch("scores", heads, len(out), mark.tokens, n)
        torch.bmm(mark.by_head, basis.with_image, out=found.flatten(1, 2))
        count = heads * mark.tokens
        out[:, :count].unflatten(1, (heads, mark.tokens)).add_(found.transpose(0, 1), alpha=2)
        last = torch.mm(mark.last, basis.with_image.flatten(0, 1).to(mark.last.dtype))  # [G, n]
        assert basis.constant_with_image is not None, "rows folded into others leave a constant"
        out[:, count].add_(last + basis.constant_with_image, alpha=2)
        return count + 1


def heads_to_wide(narrow: Tensor, weight: Tensor) -> Tensor:
    """``narrow`` [G, H, t, d] times ``weight`` [H, d, C], one product a head: [G, H t, C]."""
    prompts, heads, tokens, width = narrow.shape
    wide = torch.bmm(narrow.transpose(0, 1).reshape(heads, prompts * tokens, width), weight)
    return wide.view(heads, prompts, tokens, -1).transpose(0, 1).flatten(1, 2)


def wide_to_heads(wide: Tensor, weight: Tensor) -> Tensor:
    """``wide`` [G, H t, C] times ``weight`` [H, C, d], one product a head: [G, H, t, d]."""
    prompts, _, channels = wide.shape
    by_head = wide.view(prompts, len(weight), -1, channels).transpose(0, 1)
    narrow = torch.bmm(by_head.reshape(len(weight), -1, channels), weight)
    return narrow.view(len(weight), prompts, -1, narrow.shape[-1]).transpose(0, 1)
