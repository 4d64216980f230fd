"""Everything the model answers to points, before any filter: what findings are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from everymask.everything.candidates import CropDecoder, decoded
from everymask.everything.encoding import crops_together, encode_crops, work_dtype
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.everything.progress import Reporter
from everymask.everything.workers import Workers, cores_kept
from everymask.masks.cells import Patch
from everymask.models.base import PromptableModel


@dataclass(frozen=True)
class Question:
    """Points to ask about in one crop."""

    crop: int  # its number
    window: Crop
    points_xy: np.ndarray  # [N, 2] crop pixels


@dataclass(frozen=True)
class Answer:
    """The k masks that the points of a tile gave, whatever their scores."""

    crop: int
    points_xy: np.ndarray  # [k, 2] photo pixels, in the type the family computes points in
    iou: np.ndarray  # float32 [k] predicted
    patches: Sequence[Patch]  # k: the logits around those above the lowest threshold
    boxes: np.ndarray  # int64 [k, 4] photo pixels, at the options' mask threshold
    points: int  # how many were asked


@torch.inference_mode()
def ask(
    model: PromptableModel,
    options: GeneratorOptions,
    photo: np.ndarray,
    questions: Sequence[Question],
    lowest: float,
    report: Reporter,
) -> Iterator[Answer]:
    """The answers tile by tile; patches reach down to logits of ``lowest``.

    Bits are those that ``generate`` computes with: the same tiles, in the same type.
    """
    photo_hw = photo.shape[0], photo.shape[1]
    unfiltered = replace(options, pred_iou_thresh=0.0, min_mask_region_area=0)
    work = work_dtype(model, options)
    encoded = encode_crops(model, photo, [q.window for q in questions], work, crops_together(model))
    for question, (window, features) in zip(questions, encoded, strict=True):
        decoder = CropDecoder.prepare(model, features, window, photo_hw, unfiltered, work)
        size = decoder.tile_size()
        tiles = [question.points_xy[i : i + size] for i in range(0, len(question.points_xy), size)]
        jobs = [(question.crop, tile, lowest) for tile in tiles]
        with cores_kept() as cores:
            count = cores if model.device.type == "cpu" else 1
            with Workers([decoder, *(decoder.twin() for _ in range(count - 1))]) as workers:
                for answer in workers.map(_answer, jobs):
                    report.advance(answer.points, int((answer.iou > options.pred_iou_thresh).sum()))
                    yield answer
        report.next_crop()


def _answer(decoder: CropDecoder, job: tuple[int, np.ndarray, float]) -> Answer:
    number, points_xy, lowest = job
    points_xy = decoder.typed(points_xy)
    read = list(decoded(decoder, points_xy))
    prompts = np.repeat([one.prompt for one in read], [len(one.iou) for one in read])
    iou = np.concatenate([one.iou for one in read])
    logits = decoder.scratch("logits", len(iou), *decoder.model.logits_size)
    torch.cat([one.logits for one in read], out=logits)
    threshold, crop = decoder.options.mask_threshold, decoder.crop
    outlined = decoder.upscaler.outlined(logits, threshold, threshold - lowest)
    corner = np.array([crop.x0, crop.y0], points_xy.dtype)
    return Answer(
        number,
        points_xy[prompts] + corner,
        iou,
        [patch.copied() for patch in outlined.patches],
        outlined.boxes + np.array([crop.x0, crop.y0, crop.x0, crop.y0]),
        len(points_xy),
    )
