"""Every object of a photo: the automatic mask generator of SAM and SAM 2.

:meth:`AutomaticMaskGenerator.generate` reads like the algorithm: crops, points, candidates, suppression
within a crop and between crops, small regions, masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import chain, groupby
from typing import Any

import numpy as np
import torch

from everymask.errors import OptionError
from everymask.everything import filters
from everymask.everything.bar import reporting
from everymask.everything.candidate_pool import BYTES_KEPT
from everymask.everything.candidates import Candidate, CropDecoder, boxes_of
from everymask.everything.encoding import crops_together, encode_crops, work_dtype
from everymask.everything.fewer_points import ask_all, ask_fewer
from everymask.everything.findings import Findings
from everymask.everything.gaps import Filling, fill_gaps
from everymask.everything.grid import Crop, grids, on_data, points_in
from everymask.everything.held import Held
from everymask.everything.options import GeneratorOptions
from everymask.everything.progress import Progress, Reporter
from everymask.everything.renditions import looks, resolved
from everymask.everything.results import (
    as_mask,
    checked_photo,
    checked_valid,
    finished,
    picked,
    without_nodata,
)
from everymask.everything.workers import Workers, cores_kept
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel
from everymask.nn.product_type import warn_where_slow
from everymask.nn.records import ImageFeatures


class AutomaticMaskGenerator:
    """Finds every object of a photo by asking the model about a grid of points.

    ``options`` are the fields of :class:`GeneratorOptions`, the official ones under their official names;
    defaults are those of the model's family. Raises :class:`OptionError` for a wrong one, and for a model in
    float64. Warns (:class:`SlowTypeWarning`) of ``effort="bf16"`` on a device that is slower in bfloat16.
    """

    def __init__(self, model: PromptableModel, **options: Any) -> None:
        self.model = model
        self.options = GeneratorOptions.for_model(model.spec.generator, options, model.spec.name)
        if model.dtype == torch.float64:
            raise OptionError(
                "everything mode needs a model in float32, bfloat16 or float16, got one in float64; "
                'load it with dtype="float32"'
            )
        if self.options.effort == "bf16":
            warn_where_slow(torch.bfloat16, model.device, 'effort="bf16"')

    def __repr__(self) -> str:
        """The model, and the options that are not what they are by default."""
        usual = GeneratorOptions.for_model(self.model.spec.generator, {})
        named = ((each.name, getattr(self.options, each.name)) for each in fields(usual))
        said = [f"{name}={value!r}" for name, value in named if repr(value) != repr(getattr(usual, name))]
        return f"AutomaticMaskGenerator({', '.join([self.model.spec.name, *said])})"

    def generate(
        self,
        photo: np.ndarray,
        progress: bool | Callable[[Progress], None] | None = None,
        *,
        valid: np.ndarray | None = None,
    ) -> MaskSet:
        """The masks of an RGB uint8 photo [H, W, 3], in the order of suppression: best first.

        ``progress`` is called with a :class:`Progress` after every few points; True shows a bar. The masks
        remember the array, weakly. ``valid``, bool [H, W], is where the photo has data (a raster has pixels
        without): nothing is asked about the other pixels, and no mask keeps them. Raises
        :class:`PictureError` for a picture that is none, :class:`InputError` if the model computes NaN.
        """
        if valid is not None:
            valid = checked_valid(valid, photo)
        with reporting(progress) as report:
            return self._generate(checked_photo(photo), report, valid)

    @torch.inference_mode()
    def _generate(
        self, photo: np.ndarray, progress: Callable[[Progress], None] | None, valid: np.ndarray | None
    ) -> MaskSet:
        photo_hw = photo.shape[0], photo.shape[1]
        options = self.options
        windows = looks(photo_hw, resolved(options, photo))
        layers = grids(options)
        points = [on_data(w, points_in(w, layers[w.layer]), valid) for w in windows]
        report = Reporter(progress, [len(each) for each in points])

        found: list[Candidate] = []
        encoded = zip(self._encoded(photo, windows), points, strict=True)
        for _, looked in groupby(encoded, lambda look: look[0][0].window):
            each = [
                self._in_crop(photo, crop, features, points_xy, report)
                for (crop, features), points_xy in looked
            ]
            found += self._of_one_crop(each)
        if len({window.window for window in windows}) > 1:
            found = picked(
                found,
                filters.between_crops(boxes_of(found), [c.crop for c in found], options.crop_nms_thresh),
            )
        found = list(finished(found, options, self.model.spec.family).found)
        masks = [as_mask(c) for c in found]
        if valid is not None:
            masks = without_nodata(masks, valid)
        return MaskSet(masks, photo_hw, photo=photo, valid=valid)

    def explore(
        self,
        photo: np.ndarray,
        progress: bool | Callable[[Progress], None] | None = None,
        *,
        lowest: float | None = None,
        bytes_kept: int = BYTES_KEPT,
        valid: np.ndarray | None = None,
    ) -> Findings:
        """Everything that the model answers on an RGB uint8 photo [H, W, 3], before thresholds decide.

        :meth:`Findings.masks` of it equals ``generate`` under any thresholds, without the model.
        ``lowest`` is the lowest logit kept (by default 8 below ``mask_threshold``, or as low as the
        stability offset asks; -inf: all), ``bytes_kept`` how much of them stays in memory; the rest goes
        into a temporary file. ``valid`` as for ``generate``. Raises as ``generate`` does, and
        :class:`OptionError` for ``effort="fast"``.
        """
        findings = Findings.begin(self.model, photo, self.options, lowest, bytes_kept, valid)
        with reporting(progress) as report:
            findings.ask_all(report)
        return findings

    def fill_gaps(
        self,
        photo: np.ndarray,
        masks: MaskSet,
        *,
        min_area: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Filling:
        """Ask about the regions of a photo that ``masks`` leave without one, from inside.

        The innermost points of each gap of ``min_area`` pixels or more (default: 1/2000 of the photo) are
        asked about, on the whole photo and then on a closer crop, with more lenient thresholds there; a
        mask counts if most of it lies in the gap. What stays empty is told with its reason.
        """
        return fill_gaps(self.model, self.options, photo, masks, min_area, progress)

    def _in_crop(
        self,
        photo: np.ndarray,
        window: Crop,
        features: ImageFeatures,
        points_xy: np.ndarray,
        report: Reporter,
    ) -> list[Candidate]:
        """The candidates of one crop that suppression leaves, encoded."""
        decoder = CropDecoder.prepare(
            self.model, features, window, (photo.shape[0], photo.shape[1]), self.options, self._work_dtype
        )
        with cores_kept() as cores:
            count = cores if self.model.device.type == "cpu" and decoder.in_parallel else 1
            with Workers([decoder, *(decoder.twin() for _ in range(count - 1))]) as workers:
                return self._candidates(decoder, workers, points_xy, report).survivors(workers)

    def _of_one_crop(self, renditions: Sequence[list[Candidate]]) -> list[Candidate]:
        """The candidates of a crop in all its renditions, best first; those of one are apart already."""
        found = list(chain.from_iterable(renditions))
        if len(renditions) == 1:
            return found
        iou = np.array([candidate.iou for candidate in found], np.float32)
        return picked(found, filters.within_crop(boxes_of(found), iou, self.options.box_nms_thresh))

    def _candidates(
        self,
        decoder: CropDecoder,
        workers: Workers[CropDecoder],
        points_xy: np.ndarray,
        report: Reporter,
    ) -> Held:
        """The candidates of all points, or with the fast effort of those worth asking."""
        held = Held(decoder)
        ask = ask_fewer if self.options.effort == "fast" else ask_all
        for tile, found in ask(decoder, workers, points_xy, report.advance):
            held.add(tile, found)
        report.next_crop()
        return held

    def _encoded(self, photo: np.ndarray, windows: Sequence[Crop]) -> Iterator[tuple[Crop, ImageFeatures]]:
        """Each crop with its features, encoded together where the device gains by it."""
        return encode_crops(self.model, photo, windows, self._work_dtype, self._crops_together)

    @property
    def _crops_together(self) -> int:
        return crops_together(self.model)

    @property
    def _work_dtype(self) -> torch.dtype:
        return work_dtype(self.model, self.options)
