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

:mod:`everymask.nn.folded_image` takes these steps, a band of image tokens at a time.

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
from everymask.nn.folded_image import GROUP_TOKENS, Bands, Folded, Scratch, Writing, Written
from everymask.nn.layers import LayerNorm2d
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.products import product, product_plus
from everymask.nn.shared_image import SharedImage, SharedLook, shared_image
from everymask.nn.two_way import TwoWayBlock


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
        places = up.second.shape[0] // (up.second.shape[1] // 2)
        second = up.second.unflatten(0, (places, -1)).mean(0)
        constant = up.second_constant.unflatten(-1, (places, -1)).mean(-2)
        sketch = replace(up, second=second, second_constant=constant)
        order = token_order(*self.hw, self.order.device, levels=1)
        return replace(self.twin(), shared=replace(self.shared, up=sketch), order=order)

    def attend(self, sparse: Tensor, mask_factors: Tensor | None = None) -> Attended:
        """The transformer for P prompts: ``sparse`` [P, n, C]; ``mask_factors`` [P, K, N] of mask prompts."""
        transformer = self.decoder.transformer
        tokens = position = self.decoder.tokens(sparse)
        images = self._fresh(len(tokens), tokens.shape[1], mask_factors)
        writings: list[Writing | None] = [None] * len(images)  # of the layer before, done with the next look
        for layer in self.shared.layers:
            block, back = layer.block, layer.block.cross_attn_image_to_token
            tokens = _self_attention(block, tokens, position)
            looked, images = self._look(
                layer.look, block.cross_attn_token_to_image, tokens + position, images, writings
            )
            tokens = block.norm2(tokens + looked)
            tokens = block.norm3(tokens + block.mlp(tokens))
            keys = split_heads(back.k_proj(tokens + position), back.heads)
            values = split_heads(back.v_proj(tokens), back.heads)
            groups = zip(images, self._grouped(keys), self._grouped(values), strict=True)
            writings = [self.bands.prepare_writing(layer.write, *group) for group in groups]
        # Only the IoU token and the mask tokens are read: the others need no last look.
        first = int(self.decoder.spec.object_score)
        own = slice(first, first + 1 + self.decoder.spec.masks)
        tokens, position = tokens[:, own], position[:, own]
        last = transformer.final_attn_token_to_image
        looked, images = self._look(self.shared.final, last, tokens + position, images, writings)
        tokens = transformer.norm_final_attn(tokens + looked)
        iou, masks = self.decoder.iou_prediction_head(tokens[:, 0]), tokens[:, 1:]
        mlps = self.decoder.output_hypernetworks_mlps
        weights = torch.stack([mlp(token) for mlp, token in zip(mlps, masks.unbind(1), strict=True)], dim=1)
        return Attended(iou, masks, weights, tuple(images))

    def masks(self, attended: Attended, prompt: int, which: Sequence[int]) -> Tensor:
        """Mask logits [len(which), 4h, 4w] of one prompt; the same bits whichever others are asked for.

        Of a decoder that is :meth:`sketching` they are [len(which), 2h, 2w].
        """
        return self.masks_of(attended, [(prompt, which)])[0]

    def masks_of(self, attended: Attended, asked: Sequence[tuple[int, Sequence[int]]]) -> list[Tensor]:
        """The :meth:`masks` of several prompts, each with which of its masks: to the same bits, and faster.

        Upscaling and the product with a prompt's ``weights``, a band of image tokens at a time; prompts take
        turns within a band, whose constants are larger than what becomes of it. The product is with all
        masks, whichever are wanted: with fewer rows other sums would round otherwise.
        """
        (h, w), masks = self.hw, attended.weights.shape[1]
        each = len(self.order) // (h * w)  # logits of a token
        side = 2 if each == 4 else 4
        logits = self.scratch("logits", len(asked), masks, h * w * each)
        prompts = [self._prompt(attended, prompt) for prompt, _ in asked]
        for band in self.shared.read_bands:
            for (factors, rho, mixed, hyper), out in zip(prompts, logits, strict=True):
                fine = self._fine(self._coarse(factors, rho, mixed, band), band)
                torch.mm(hyper, fine.T, out=out[:, band.start * each : band.stop * each])
        found = []
        for (_, which), of_prompt in zip(asked, logits, strict=True):
            wanted = torch.stack([of_prompt[mask].index_select(0, self.order) for mask in which])
            found.append(wanted.view(-1, side * h, side * w).to(attended.weights.dtype))
        return found

    @property
    def bands(self) -> Bands:
        return Bands(self.shared.bands, self.work, self.scratch)

    @property
    def _together(self) -> int:
        """How many prompts a group has."""
        return max(1, GROUP_TOKENS // (self.hw[0] * self.hw[1]))

    def _grouped(self, x: Tensor) -> tuple[Tensor, ...]:
        """What belongs to prompts [P, ...] in groups [G, ...]."""
        return x.split(self._together)

    # -- tokens to image ---------------------------------------------------------------------------

    def _fresh(self, prompts: int, tokens: int, mask_factors: Tensor | None) -> list[Folded]:
        rows = self.shared.up.first.new_zeros(0, self.shared.up.first.shape[1])
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
        self,
        shared: SharedLook,
        attention: Attention,
        placed: Tensor,
        images: Sequence[Folded],
        writings: Sequence[Writing | None],
    ) -> tuple[Tensor, list[Folded]]:
        """What tokens ``placed`` [P, t, C] see of the image after ``writings``, [P, t, C]; and that image."""
        queries = split_heads(attention.q_proj(placed), attention.heads)  # [P, H, t, d]
        groups = zip(self._grouped(queries), images, writings, strict=True)
        looked = [self.bands.look(shared, query, image, writing) for query, image, writing in groups]
        joined = torch.cat([seen for seen, _ in looked]).transpose(1, 2).flatten(2)  # [P, t, D]
        return attention.out_proj(joined), [image for _, image in looked]

    # -- reading out masks -------------------------------------------------------------------------

    def _prompt(self, attended: Attended, prompt: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """F [R, N], rho [N], B times the first convolution [4 C/4, R] and the masks' weights [M, C/8]."""
        group, place = divmod(prompt, self._together)
        image = attended.images[group]
        assert image.rho is not None
        mixed = (self.shared.up.first @ image.rows[place].T).to(self.work)
        return image.factors[place], image.rho[place], mixed, attended.weights[prompt].to(self.work)

    def _coarse(self, factors: Tensor, rho: Tensor, mixed: Tensor, band: slice) -> Tensor:
        """After the first convolution, its norm and activation: [4 N', C/4] for N' tokens."""
        up, norm = self.shared.up, self.decoder.output_upscaling[1]
        assert isinstance(norm, LayerNorm2d)
        constant = up.first_constant if up.first_constant.dim() == 1 else up.first_constant[band]
        scale = rho[band].to(self.work)
        of_image = self.scratch("coarse", len(scale), len(mixed))
        torch.addcmul(constant, up.image[band], scale[:, None], out=of_image)
        scaled = torch.mul(factors[:, band], scale, out=self.scratch("scaled", len(factors), len(scale)))
        mapped = product_plus(scaled.T, mixed, of_image, of_image)
        normed = F.layer_norm(
            mapped.view(4 * len(scale), -1), norm.weight.shape, norm.weight, norm.bias, norm.eps
        )
        return torch.ops.aten.gelu_(normed)

    def _fine(self, coarse: Tensor, band: slice) -> Tensor:
        """After the second convolution and its activation: [L N', C/8]."""
        constant, weight = self.shared.up.second_constant, self.shared.up.second
        if constant.dim() == 1:
            mapped = product(coarse, weight, constant, "gelu")
        else:
            room = self.scratch("fine", len(coarse), len(weight))
            mapped = product_plus(coarse, weight, constant[band].flatten(0, 1), room)
            mapped = torch.ops.aten.gelu_(mapped)
        return mapped.view(-1, coarse.shape[1] // 2)


def token_order(height: int, width: int, device: torch.device, levels: int = 2) -> Tensor:
    """Where each logit of a mask [4h, 4w] lies when tokens come one after the other, int64 [16 h w].

    A token's 16 logits are in the order of the two convolutions: 2 x 2 places of 2 x 2 places. After
    the first one alone (``levels`` 1) the mask is [2h, 2w] and a token has 4.
    """
    places = torch.arange(4**levels * height * width, device=device)
    places = places.view(height, width, *[2] * (2 * levels))
    down, along = range(2, 2 + 2 * levels, 2), range(3, 3 + 2 * levels, 2)
    return places.permute(0, *down, 1, *along).flatten()


def _self_attention(block: TwoWayBlock, tokens: Tensor, position: Tensor) -> Tensor:
    if block.first:
        return block.norm1(block.self_attn(tokens, tokens, tokens))
    placed = tokens + position
    return block.norm1(tokens + block.self_attn(placed, placed, tokens))
