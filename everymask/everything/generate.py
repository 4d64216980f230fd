"""Every object of a photo: the automatic mask generator of SAM and SAM 2.

:meth:`AutomaticMaskGenerator.generate` reads like the algorithm: crops, points, candidates, suppression
within a crop and between crops, small regions, masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from everymask.errors import OptionError, PictureError
from everymask.everything import filters
from everymask.everything.bar import reporting
from everymask.everything.candidates import Candidate, CropDecoder, boxes_of, candidates
from everymask.everything.explained import Explained
from everymask.everything.grid import Crop, crops, grids, points_in, rounds
from everymask.everything.held import Held
from everymask.everything.options import GeneratorOptions
from everymask.everything.workers import Workers, cores_kept
from everymask.masks import rle
from everymask.masks.boxes import box_of_mask, xyxy_to_xywh
from everymask.masks.regions import remove_small_regions
from everymask.maskset import Mask, MaskSet
from everymask.models.base import PromptableModel
from everymask.nn.product_type import fast_dtype, warn_where_slow
from everymask.nn.records import ImageFeatures

CROPS_TOGETHER = 4
"""Crops that a GPU encodes at once. On a CPU more than one at a time costs memory and gains nothing."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    points_done: int
    points: int
    crop: int  # the crop being worked on, from 1
    crops: int
    candidates: int  # masks above the predicted IoU so far, before suppression


class AutomaticMaskGenerator:
    """Finds every object of a photo by asking the model about a grid of points.

    ``options`` are the fields of :class:`GeneratorOptions`, the official ones under their official names;
    defaults are those of the model's family. Raises :class:`OptionError` for a wrong one, and for a model in
    float64. Warns (:class:`SlowTypeWarning`) of ``effort="bf16"`` on a device that is slower in bfloat16.
    """

    def __init__(self, model: PromptableModel, **options: Any) -> None:
        self.model = model
        self.options = GeneratorOptions.for_model(model.spec.generator, options)
        if model.dtype == torch.float64:
            raise OptionError(
                "everything mode needs a model in float32, bfloat16 or float16, got one in float64; "
                'load it with dtype="float32"'
            )
        if self.options.effort == "bf16":
            warn_where_slow(torch.bfloat16, model.device, 'effort="bf16"')

    def generate(
        self, photo: np.ndarray, progress: bool | Callable[[Progress], None] | None = None
    ) -> MaskSet:
        """The masks of an RGB uint8 photo [H, W, 3], in the order of suppression: best first.

        ``progress`` is called with a :class:`Progress` after every few points; True shows a bar. The masks
        remember the array, weakly. Raises :class:`PictureError` for a picture that is none,
        :class:`InputError` if the model computes NaN.
        """
        with reporting(progress) as report:
            return self._generate(_checked(photo), report)

    @torch.inference_mode()
    def _generate(self, photo: np.ndarray, progress: Callable[[Progress], None] | None) -> MaskSet:
        photo_hw = photo.shape[0], photo.shape[1]
        options = self.options
        windows = crops(photo_hw, options.crop_n_layers, options.crop_overlap_ratio)
        layers = grids(options)
        report = _Reporter(progress, windows, [len(layers[w.layer]) for w in windows])

        found: list[Candidate] = []
        for window, features in self._encoded(photo, windows):
            points_xy = points_in(window, layers[window.layer])
            found += self._in_crop(photo, window, features, points_xy, report)
        if len(windows) > 1:
            found = _picked(
                found,
                filters.between_crops(boxes_of(found), [c.crop for c in found], options.crop_nms_thresh),
            )
        if options.min_mask_region_area > 0 and self.model.spec.family == "sam":
            found = self._without_small_regions(found)
        return MaskSet([_as_mask(c) for c in found], photo_hw, photo=photo)

    def _in_crop(
        self,
        photo: np.ndarray,
        window: Crop,
        features: ImageFeatures,
        points_xy: np.ndarray,
        report: _Reporter,
    ) -> list[Candidate]:
        """The candidates of one crop that suppression leaves, encoded."""
        decoder = CropDecoder.prepare(
            self.model, features, window, (photo.shape[0], photo.shape[1]), self.options, self._work_dtype
        )
        with cores_kept() as cores:
            count = cores if self.model.device.type == "cpu" and decoder.in_parallel else 1
            with Workers([decoder, *(decoder.twin() for _ in range(count - 1))]) as workers:
                return self._candidates(decoder, workers, points_xy, report).survivors(workers)

    def _candidates(
        self,
        decoder: CropDecoder,
        workers: Workers[CropDecoder],
        points_xy: np.ndarray,
        report: _Reporter,
    ) -> Held:
        """The candidates of all points, or with the fast effort of those that nothing explains yet."""
        held = Held(decoder)
        steps = self._rounds(points_xy)
        explained = Explained(decoder) if len(steps) > 1 else None
        for number, indices in enumerate(steps):
            asked = points_xy[indices]
            offered = len(asked)
            if explained is not None and number > 0:
                asked = asked[~explained.holds(asked, last=number == len(steps) - 1)]
                report.advance(offered - len(asked), 0)
            for tile, found in self._decoded(decoder, workers, asked):
                if explained is not None:
                    for candidate in found:
                        explained.add(candidate)
                held.add(tile, found)
                report.advance(len(tile), len(found))
        report.next_crop()
        return held

    def _rounds(self, points_xy: np.ndarray) -> Sequence[np.ndarray | slice]:
        side = round(len(points_xy) ** 0.5)
        if self.options.effort != "fast" or self.options.point_grids is not None:
            return [slice(None)]
        return rounds(side)

    def _decoded(
        self, decoder: CropDecoder, workers: Workers[CropDecoder], points_xy: np.ndarray
    ) -> Iterator[tuple[np.ndarray, list[Candidate]]]:
        """Tiles of points and their candidates, in order."""
        size = decoder.tile_size()
        tiles = [points_xy[i : i + size] for i in range(0, len(points_xy), size)]
        yield from zip(tiles, workers.map(candidates, tiles), strict=True)

    def _encoded(self, photo: np.ndarray, windows: Sequence[Crop]) -> Iterator[tuple[Crop, ImageFeatures]]:
        """Each crop with its features, encoded together where the device gains by it."""
        together = self._crops_together
        half = self._work_dtype == torch.bfloat16 and self.model.dtype == torch.float32
        for start in range(0, len(windows), together):
            part = windows[start : start + together]
            # A copy of each: PyTorch wants to be able to write.
            pixels = torch.stack([self.model.preprocess(np.array(window.of(photo))) for window in part])
            with torch.autocast(self.model.device.type, torch.bfloat16, enabled=half):
                features = self.model.encode_image(pixels)
            for index, window in enumerate(part):
                yield window, features[index]

    @property
    def _crops_together(self) -> int:
        return 1 if self.model.device.type == "cpu" else CROPS_TOGETHER

    @property
    def _work_dtype(self) -> torch.dtype:
        if self.options.effort == "bf16":
            return torch.bfloat16
        if self.options.effort == "fast" and self.model.dtype == torch.float32:
            return fast_dtype(self.model.device)
        return self.model.dtype

    def _without_small_regions(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Holes filled and islands dropped at full size, then suppression once more."""
        cleaned, changed = [], []
        for candidate in found:
            assert candidate.runs is not None
            result = remove_small_regions(rle.decode(candidate.runs), self.options.min_mask_region_area)
            if result.changed:
                box = np.array(box_of_mask(result.mask))
                candidate = replace(candidate, runs=rle.encode(result.mask), box_xyxy=box)
            cleaned.append(candidate)
            changed.append(result.changed)
        threshold = max(self.options.box_nms_thresh, self.options.crop_nms_thresh)
        return _picked(cleaned, filters.after_cleaning(boxes_of(cleaned), np.array(changed, bool), threshold))


class _Reporter:
    """Counts what is done and tells whoever asked."""

    def __init__(
        self, progress: Callable[[Progress], None] | None, windows: Sequence[Crop], points: Sequence[int]
    ) -> None:
        self._progress = progress
        self._state = Progress(0, sum(points), 1, len(windows), 0)

    def advance(self, points: int, candidates: int) -> None:
        state = self._state
        self._state = replace(
            state, points_done=state.points_done + points, candidates=state.candidates + candidates
        )
        if self._progress is not None:
            self._progress(self._state)

    def next_crop(self) -> None:
        self._state = replace(self._state, crop=min(self._state.crop + 1, self._state.crops))


def _checked(photo: np.ndarray) -> np.ndarray:
    if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        got = (
            f"{photo.dtype} of shape {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
        )
        raise PictureError(
            f"a photo must be an RGB uint8 array of shape (H, W, 3), got {got}; "
            "everymask.read_photo makes one from files and other arrays"
        )
    if 0 in photo.shape:
        raise PictureError(f"a photo must have pixels, got shape {photo.shape}")
    return photo


def _picked(found: Sequence[Candidate], indices: np.ndarray) -> list[Candidate]:
    return [found[i] for i in indices.tolist()]


def _as_mask(candidate: Candidate) -> Mask:
    assert candidate.runs is not None
    assert candidate.stability is not None
    return Mask(
        candidate.runs,
        predicted_iou=float(candidate.iou),
        stability_score=float(candidate.stability),
        point_coords=[candidate.point_xy.tolist()],
        crop_box=candidate.crop.xywh,
        bbox=xyxy_to_xywh(candidate.box_xyxy).tolist(),
    )
