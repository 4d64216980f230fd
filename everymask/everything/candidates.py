"""From points on one crop to candidate masks that pass the filters of a single mask.

Letters used in shapes: P prompts of a tile, M masks of a prompt, h x w mask logits, C channels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask.everything import filters
from everymask.everything.encoding import look_dtype
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.everything.plain_points import PlainPoints, Points
from everymask.masks.cells import Patch
from everymask.masks.regions import clean_logits
from everymask.masks.rle import Rle, encode_at
from everymask.masks.scores import stability
from everymask.masks.upscaled import Upscaler, check_finite
from everymask.models.base import PromptableModel
from everymask.nn.choice import choose_masks
from everymask.nn.merged_tokens import merged_tokens
from everymask.nn.point_decoder import PointDecoder, Scratch
from everymask.nn.records import Decoded, ImageFeatures
from everymask.nn.touched import untouched

CPU_TOKENS, CPU_TILE = 32768, 32
"""So many image tokens, and at most so many prompts, are decoded together on a CPU core: 8 prompts of the
official models. The prompts of a tile share weights and the cost of every call, and fit the last cache."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask that passed the filters on predicted IoU and on the crop's edge."""

    crop: Crop
    point_xy: np.ndarray  # in photo pixels, in the type the family computes points in
    iou: np.float32
    box_xyxy: np.ndarray  # int64 [4] in photo pixels, edges inclusive
    patch: Patch | None  # the mask's logits, until runs are made of them
    stability: np.float32 | None = None  # None: not measured yet
    runs: Rle | None = None  # in the photo's frame


@dataclass(frozen=True)
class CropDecoder:
    """Everything that stays the same for all points of one crop."""

    model: PromptableModel
    crop: Crop
    photo_hw: tuple[int, int]
    options: GeneratorOptions
    upscaler: Upscaler
    points: Points
    refiner: Points | None  # for masks fed back as prompts (use_m2m)
    scratch: Scratch  # float32
    coarse: PointDecoder | None = None  # for a cheap look at every point (the fast effort)

    @classmethod
    def prepare(
        cls,
        model: PromptableModel,
        features: ImageFeatures,
        crop: Crop,
        photo_hw: tuple[int, int],
        options: GeneratorOptions,
        work: torch.dtype,
    ) -> CropDecoder:
        """``features`` of the crop (B = 1); ``work`` the type of the large products behind its masks."""
        upscaler = Upscaler(model.logits_size, model.frame(crop.hw).stretches)
        scratch = Scratch(features.embedding.new_empty(0, dtype=torch.float32))
        if not untouched(model.decoder, features.embedding):
            plain = PlainPoints(model, features)
            return cls(
                model, crop, photo_hw, options, upscaler, plain, plain if options.use_m2m else None, scratch
            )
        decoder = model.decoder if model.dtype == torch.float32 else copy.deepcopy(model.decoder).float()
        position = model.prompts.grid_position().float()
        high_res = tuple(x.float() for x in features.high_res)
        embedding = features.embedding.float()

        def prepared(added: Tensor, basis: Tensor | None, work: torch.dtype = work) -> PointDecoder:
            image = embedding + added.float().reshape(1, -1, 1, 1)
            return PointDecoder.prepare(decoder, image, position, high_res, mask_basis=basis, work=work)

        again = None
        if options.use_m2m:
            last = model.prompts.mask_downscaling[-1]
            again = prepared(last.bias, last.weight.flatten(1).T.float().contiguous())  # type: ignore[arg-type,union-attr,operator]
        points = prepared(model.prompts.no_mask(), None)
        coarse = None
        if options.effort == "fast":
            look = look_dtype(model)
            if fewer := merged_tokens(features, position):
                image = fewer[0].embedding.float() + model.prompts.no_mask().float().reshape(1, -1, 1, 1)
                maps = [x.float() for x in fewer[0].high_res]
                coarse = PointDecoder.prepare(decoder, image, fewer[1], maps, work=look)
            else:
                coarse = points if look == work else prepared(model.prompts.no_mask(), None, look)
            coarse = coarse.sketching()
        return cls(
            model,
            crop,
            photo_hw,
            options,
            upscaler,
            points,
            again,
            scratch,
            coarse,
        )

    def twin(self) -> CropDecoder:
        """The same with scratch memory of its own, for another thread."""
        return replace(
            self,
            points=self.points.twin(),
            refiner=self.refiner and self.refiner.twin(),
            coarse=self.coarse and self.coarse.twin(),
            scratch=Scratch(self.scratch("like", 1)),
        )

    @property
    def in_parallel(self) -> bool:
        """Whether several threads may decode at once: where somebody put a hook, he expects one."""
        return isinstance(self.points, PointDecoder)

    def tile_size(self, *, coarse: bool = False) -> int:
        """How many points to hand to :func:`candidates` at once, or to a ``coarse`` look."""
        if self.model.device.type != "cpu":
            return self.options.points_per_batch
        height, width = (self.coarse if coarse and self.coarse else self.points).hw
        return min(max(1, CPU_TOKENS // (height * width)), CPU_TILE)

    def typed(self, points_xy: np.ndarray) -> np.ndarray:
        """Points in the type that the family computes them in: SAM's everything mode uses float64."""
        return points_xy.astype(np.float64 if self.model.spec.family == "sam" else np.float32)


def candidates(decoder: CropDecoder, points_xy: np.ndarray) -> list[Candidate]:
    """The masks of points [P, 2] (crop pixels) that pass the filters on predicted IoU and crop edge.

    Stability is left to :func:`measured`, since most candidates are suppressed whatever theirs is. Only
    after a coarse pass it is asked for here: unstable masks decide which points are asked next.
    """
    points_xy = decoder.typed(points_xy)
    options, crop = decoder.options, decoder.crop
    read = list(decoded(decoder, points_xy))
    if not read:
        return []
    prompts = np.repeat([one.prompt for one in read], [len(one.iou) for one in read])
    iou = np.concatenate([one.iou for one in read])
    # What is kept of a tile would lie in holes that logits of earlier ones left: 1.5 times the memory.
    logits = decoder.scratch("logits", len(iou), *decoder.model.logits_size)
    torch.cat([one.logits for one in read], out=logits)
    outlined = decoder.upscaler.outlined(logits, options.mask_threshold, options.stability_score_offset)
    boxes = outlined.boxes + np.array([crop.x0, crop.y0, crop.x0, crop.y0])
    keep = filters.whole(boxes, crop, decoder.photo_hw)
    offset = np.array([crop.x0, crop.y0], points_xy.dtype)
    found = [
        Candidate(crop, points_xy[prompts[k]] + offset, iou[k], boxes[k], outlined.patches[k].copied())
        for k in np.flatnonzero(keep).tolist()
    ]
    if decoder.coarse is None:
        return found
    return [one for one in measured(decoder, found) if stable(decoder.options, one)]


def measured(decoder: CropDecoder, found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, which still have their logits, with their stability."""
    threshold, offset = decoder.options.mask_threshold, decoder.options.stability_score_offset
    patches = [one.patch for one in found if one.patch is not None]
    assert len(patches) == len(found)
    below, above = decoder.upscaler.areas(patches, (threshold - offset, threshold + offset))
    scores = stability(above, below)
    return [replace(one, stability=score) for one, score in zip(found, scores, strict=True)]


def stable(options: GeneratorOptions, candidate: Candidate) -> bool:
    """Whether a measured candidate passes the filter on stability."""
    return bool(filters.by_stability(np.array(candidate.stability), options.stability_score_thresh))


def boxes_of(found: Sequence[Candidate]) -> np.ndarray:
    """Their boxes, int64 [k, 4]."""
    return np.array([c.box_xyxy for c in found], np.int64).reshape(-1, 4)


def encoded(decoder: CropDecoder, candidate: Candidate) -> Candidate:
    """The candidate with its mask as runs in the photo's frame instead of logits."""
    if candidate.patch is None:
        return candidate
    mask, (x, y) = decoder.upscaler.draw(candidate.patch, decoder.options.mask_threshold)
    crop = decoder.crop
    return replace(candidate, patch=None, runs=encode_at(mask, (x + crop.x0, y + crop.y0), decoder.photo_hw))


@dataclass(frozen=True)
class Read:
    """The masks of one prompt whose predicted IoU passes."""

    prompt: int  # its number in the tile
    iou: np.ndarray  # float32 [k] predicted
    logits: Tensor  # [k, h, w]


def decoded(decoder: CropDecoder, points_xy: np.ndarray) -> Iterator[Read]:
    """The masks of each point [P, 2] (crop pixels) that has some above the threshold on predicted IoU."""
    sparse = _embedded(decoder, points_xy)
    attended = decoder.points.attend(sparse)
    check_finite(attended.iou, "predicted IoU")
    for prompt, (iou, logits) in enumerate(_each_read(decoder, attended, sparse)):
        if len(iou):
            check_finite(logits, "mask logits")
            yield Read(prompt, iou, _cleaned(decoder, logits))


def _each_read(decoder: CropDecoder, attended: Any, sparse: Tensor) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Predicted IoU [k] and logits [k, h, w] of the masks of each prompt that pass the threshold."""
    multimask, prompts = decoder.options.multimask_output, range(len(sparse))
    if decoder.refiner is not None:
        yield from (_refined(decoder, attended, p, sparse[p : p + 1]) for p in prompts)
    elif not multimask:
        yield from (_read(decoder, decoder.points, attended, p, multimask) for p in prompts)
    else:
        ious = attended.iou.float().cpu().numpy()
        which = [_passing(decoder, iou, multimask, decoder.options.pred_iou_thresh) for iou in ious]
        asked = [(p, which[p].tolist()) for p in prompts if len(which[p])]
        found = dict(zip((p for p, _ in asked), decoder.points.masks_of(attended, asked), strict=True))
        yield from ((ious[p, which[p]], found[p]) if p in found else _NONE for p in prompts)


def _embedded(decoder: CropDecoder, points_xy: np.ndarray) -> Tensor:
    """One foreground point a prompt, as the family's prompt encoder takes it: [P, n, C]."""
    model = decoder.model
    placed = model.frame(decoder.crop.hw).to_model(torch.from_numpy(points_xy).to(model.device))
    labels = torch.ones(len(placed), 1, dtype=torch.int32, device=model.device)
    arranged = model.arrange(placed[:, None], labels, None)
    return model.encode_prompts(*arranged).sparse.float()


def _read(
    decoder: CropDecoder,
    points: Points,
    attended: Any,
    prompt: int,
    multimask: bool,
    *,
    everything: bool = False,
) -> tuple[np.ndarray, Tensor]:
    """Predicted IoU [k] and logits [k, h, w] of a prompt's masks above the threshold (or ``everything``)."""
    iou = attended.iou[prompt].float().cpu().numpy()
    threshold = 0.0 if everything else decoder.options.pred_iou_thresh
    if not multimask and decoder.model.spec.fallback is not None:
        passes = filters.by_predicted_iou(iou, threshold)
        return _single_or_fallback(decoder, points, attended, prompt, passes, threshold)
    which = _passing(decoder, iou, multimask, threshold)
    if len(which) == 0:
        return _NONE
    return iou[which], points.masks_of(attended, [(prompt, which.tolist())])[0]


def _passing(decoder: CropDecoder, iou: np.ndarray, multimask: bool, threshold: float) -> np.ndarray:
    """Which masks of a prompt that has these predicted IoU [M] are offered and pass, int64 [k]."""
    offered: np.ndarray = np.arange(1, len(iou)) if multimask else np.arange(1)
    if multimask and decoder.model.spec.decoder.early_dim is not None:  # HQ-SAM: the best one, made finer
        offered = np.array([1 + iou[1:].argmax()])
    return offered[filters.by_predicted_iou(iou, threshold)[offered]]


_NONE = np.zeros(0, np.float32), torch.zeros(0, 0, 0)


def _single_or_fallback(
    decoder: CropDecoder,
    points: Points,
    attended: Any,
    prompt: int,
    passes: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, Tensor]:
    """SAM 2's single mask: which of the four it is depends on the logits, so all four are read out."""
    if not passes.any():
        return _NONE
    one = slice(prompt, prompt + 1)
    finer = getattr(attended, "hq_logits", None)  # HQ-SAM 2: added to the mask that is chosen without it
    if finer is None:
        logits = points.masks_of(attended, [(prompt, range(len(passes)))])[0][None]
    else:
        logits, finer = attended.mask_logits[one].float(), finer[one].float()
    decoded = Decoded(logits, attended.iou[one], attended.mask_tokens[one], hq_logits=finer)
    chosen = choose_masks(decoded, False, decoder.model.spec.fallback)
    iou = chosen.iou[0].float().cpu().numpy()
    keep = filters.by_predicted_iou(iou, threshold)
    return iou[keep], chosen.mask_logits[0][torch.from_numpy(keep)]


def _refined(decoder: CropDecoder, attended: Any, prompt: int, sparse: Tensor) -> tuple[np.ndarray, Tensor]:
    """Each mask of a prompt fed back as a mask prompt (``use_m2m``), one mask for each."""
    assert decoder.refiner is not None
    _, logits = _read(
        decoder, decoder.points, attended, prompt, decoder.options.multimask_output, everything=True
    )
    fed_back = logits[:, None].clamp(-32.0, 32.0).to(decoder.model.dtype)
    factors = decoder.model.prompts.mask_downscaling[:-1](fed_back).float().flatten(2)  # [k, K, N]
    again = decoder.refiner.attend(sparse.expand(len(factors), -1, -1), factors)
    check_finite(again.iou, "predicted IoU")
    read = [_read(decoder, decoder.refiner, again, k, False) for k in range(len(factors))]
    read = [(iou, masks) for iou, masks in read if len(iou)]
    if not read:
        return _NONE
    return np.concatenate([iou for iou, _ in read]), torch.cat([masks for _, masks in read])


def _cleaned(decoder: CropDecoder, logits: Tensor) -> Tensor:
    """SAM 2 takes small holes and islands out of the logits; SAM does so at full size, at the very end."""
    area, threshold = decoder.options.min_mask_region_area, decoder.options.mask_threshold
    if decoder.model.spec.family != "sam2" or area <= 0:
        return logits
    # The official predictor is given no threshold: it cleans at 0 whatever the generator's threshold is.
    threshold = decoder.model.mask_threshold
    cleaned = [clean_logits(one, threshold, area) for one in logits.cpu().numpy()]
    return torch.from_numpy(np.stack(cleaned)).to(logits.device)
