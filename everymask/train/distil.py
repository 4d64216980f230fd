"""Real photos without masks, answered by a teacher: the mean of what several models say of several views.

One forward pass is noisy. The mean over models, mirrored views and sizes finds regions better than each of
them, on photos that nobody has labelled; a student that learns these answers keeps them at the price of one
pass. Clicks keep their three masks, from part to whole, so photos teach regions of several sizes, and
the teacher's estimates say how much each is worth.

Letters used in shapes: B photos, K prompts of a photo, P = B * K, M masks of a prompt (4), S side, s side of
the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.errors import InputError
from everymask.models.base import PromptableModel
from everymask.nn.records import Decoded
from everymask.train.augment import harsh, recolour
from everymask.train.cache import from_jpeg, to_jpeg
from everymask.train.losses import best_of_three, disobedience, mask_loss
from everymask.train.objective import ask, compute_type
from everymask.train.state import TrainOptions

GRID = 5  # clicks a side, one in each field
LIMIT = 10.0  # of logits, so that none outvotes the others; they are kept in steps of LIMIT / 127
BOXES = 12  # of the favourites of the first clicks
LEAST_SHARE = 0.003  # of the view that a mask must cover for its box to be asked
RANKING = 3.0  # times the usual weight of the estimates, which labelled photos teach only in part
SHOWN = 0.75  # of a view's prompts that are asked in one step


@dataclass(frozen=True)
class Teacher:
    """One of the models whose answers are averaged, and how it looks."""

    model: PromptableModel
    mirrored: bool
    estimates: bool  # whether its quality estimates count; some models know better than others


class Answered(NamedTuple):
    """A photo and what the teacher says of it. Places are in units of the photo's sides."""

    photo: np.ndarray  # uint8 [H, W, 3]
    clicks: np.ndarray  # float32 [K, 2]
    click_logits: np.ndarray  # int8 [K, 4, s, s]
    click_iou: np.ndarray  # float32 [K, 4]
    boxes: np.ndarray  # float32 [K', 4]
    box_logits: np.ndarray  # int8 [K', s, s]
    box_iou: np.ndarray  # float32 [K']


@torch.no_grad()
def answer(rng: np.random.Generator, photo: np.ndarray, teachers: Sequence[Teacher], side: int) -> Answered:
    """Ask about a photo RGB uint8 [H, W, 3] with clicks all over it and boxes around what they meant; the
    answers have ``side`` cells a side."""
    fields = np.stack(np.meshgrid(np.arange(GRID), np.arange(GRID)), -1).reshape(-1, 2)
    clicks = ((rng.permutation(fields) + rng.uniform(0, 1, fields.shape)) / GRID).astype(np.float32)
    looks = [Look(teacher, photo) for teacher in teachers]
    logits, estimates = mean_answer(looks, torch.from_numpy(clicks), None, side)
    favourite = 1 + estimates[:, 1:].argmax(1)
    masks = logits[torch.arange(len(clicks)), favourite] > 0
    boxes = [box for box in map(unit_box, masks.numpy()) if box is not None][:BOXES]
    around = np.array(boxes, np.float32).reshape(-1, 4)
    box_logits, box_estimates = (
        mean_answer(looks, None, torch.from_numpy(around), side)
        if boxes
        else (torch.zeros(0, 4, side, side), torch.zeros(0, 4))
    )
    return Answered(
        photo,
        clicks,
        packed(logits),
        estimates.numpy(),
        around,
        packed(box_logits[:, 0]),
        box_estimates[:, 0].numpy(),
    )


class Look:
    """A photo as one teacher sees it, encoded once."""

    def __init__(self, teacher: Teacher, photo: np.ndarray) -> None:
        self.teacher, model = teacher, teacher.model
        shown = np.ascontiguousarray(photo[:, ::-1]) if teacher.mirrored else photo
        self.features = model.encode_image(model.preprocess(shown)[None])

    def ask(self, clicks: Tensor | None, boxes: Tensor | None) -> Decoded:
        model, side = self.teacher.model, self.teacher.model.spec.image_size
        if self.teacher.mirrored:
            clicks = None if clicks is None else torch.stack([1 - clicks[:, 0], clicks[:, 1]], 1)
            boxes = None if boxes is None else mirrored_boxes(boxes)
        points = None if clicks is None else clicks[:, None] * side - 0.5
        labels = None if points is None else torch.ones(points.shape[:2], dtype=torch.int32)
        corners = None if boxes is None else boxes * side - 0.5
        decoded = model.decode_many(
            self.features, model.encode_prompts(*model.arrange(points, labels, corners))
        )
        masks = decoded.mask_logits.float()
        return replace(
            decoded,
            mask_logits=masks.flip(-1) if self.teacher.mirrored else masks,
            iou=decoded.iou.float(),
        )


def mean_answer(
    looks: Sequence[Look], clicks: Tensor | None, boxes: Tensor | None, side: int
) -> tuple[Tensor, Tensor]:
    """Mean logits [K, 4, s, s] and quality estimates [K, 4] of all looks; a mask token means the same to all,
    since the models descend from one another."""
    masks, estimates = [], []
    for look in looks:
        decoded = look.ask(clicks, boxes)
        masks.append(resized(decoded.mask_logits.clamp(-LIMIT, LIMIT), side))
        if look.teacher.estimates:
            estimates.append(decoded.iou)
    return torch.stack(masks).mean(0), torch.stack(estimates).mean(0)


def resized(maps: Tensor, side: int) -> Tensor:
    """Maps [..., h, w] at another size, [..., s, s]."""
    if maps.shape[-1] == side:
        return maps
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    small = F.interpolate(flat, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return small.view(*maps.shape[:-2], side, side)


def packed(logits: Tensor) -> np.ndarray:
    """Logits up to :data:`LIMIT` as int8."""
    return (logits * (127 / LIMIT)).round().to(torch.int8).numpy()


def unit_box(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """The box XYXY around a mask bool [s, s] in units of its sides; None for a speck."""
    if mask.mean() < LEAST_SHARE:
        return None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    side = len(mask)
    return columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side


def mirrored_boxes(boxes: Tensor) -> Tensor:
    """Boxes XYXY [P, 4] in units of a photo's sides, as they lie in the mirrored photo."""
    left, top, right, bottom = boxes.unbind(1)
    return torch.stack([1 - right, top, 1 - left, bottom], 1)


def save_answered(target: Path, answered: Answered) -> None:
    """Write one photo and its answers; it appears under its name only when complete."""
    partial = target.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.savez_compressed(file, **{**answered._asdict(), "photo": to_jpeg(answered.photo, 95)})
    partial.replace(target)


def load_answered(path: Path | str) -> Answered:
    """What :func:`save_answered` wrote."""
    with np.load(path) as file:
        return Answered(**{**{name: file[name] for name in file.files}, "photo": from_jpeg(file["photo"])})


class AnsweredFolder:
    """The answered photos in a folder, looked up again from time to time while the folder grows."""

    def __init__(self, folder: Path | str, refresh_every: int = 100) -> None:
        self.folder, self.refresh_every = Path(folder), refresh_every
        self.paths: list[Path] = []
        self.drawn = 0

    def draw(self, rng: np.random.Generator) -> Answered:
        if self.drawn % self.refresh_every == 0:
            self.paths = sorted(self.folder.glob("*.npz"))
        self.drawn += 1
        if not self.paths:
            raise InputError(
                f"expected answered photos in {str(self.folder)!r}, found none; "
                "make some with tools/make_answers.py"
            )
        return load_answered(self.paths[rng.integers(len(self.paths))])


@dataclass(frozen=True)
class Lesson:
    """Photos and answers as tensors, the prompts of the first photo first."""

    pixels: Tensor  # [B, 3, S, S], normalised
    clicks: Tensor  # [P, 2] model pixels
    click_truths: Tensor  # [P, 4, s, s] shares
    click_iou: Tensor  # [P, 4]
    boxes: Tensor  # [P', 4] model pixels
    box_truths: Tensor  # [P', s, s]
    box_iou: Tensor  # [P']


def make_lesson(
    rng: np.random.Generator, folder: AnsweredFolder, model: PromptableModel, photos: int
) -> Lesson:
    """A batch of ``photos``, some mirrored, in other colours or as poor cameras give them."""
    side, cells = model.spec.image_size, model.logits_size[0]
    shown: list[Tensor] = []
    parts: list[tuple[Tensor, ...]] = []
    while len(shown) < photos:
        answered = folder.draw(rng)
        if len(answered.boxes) == 0:
            continue
        mirrored = bool(rng.random() < 0.5)
        photo = harsh(rng, recolour(rng, answered.photo[:, ::-1] if mirrored else answered.photo))
        shown.append(model.preprocess(np.ascontiguousarray(photo)))
        parts.append(chosen_prompts(rng, answered, mirrored, cells))
    joined = [torch.cat(each) for each in zip(*parts, strict=True)]
    clicks, click_truths, click_iou, boxes, box_truths, box_iou = joined
    return Lesson(
        torch.stack(shown),
        clicks * side - 0.5,
        click_truths,
        click_iou,
        boxes * side - 0.5,
        box_truths,
        box_iou,
    )


def chosen_prompts(
    rng: np.random.Generator, answered: Answered, mirrored: bool, cells: int
) -> tuple[Tensor, ...]:
    """Some clicks and boxes of a photo, always equally many, in units of its sides; truths are shares."""
    count, boxed = round(SHOWN * GRID * GRID), round(SHOWN * BOXES)
    which = rng.permutation(len(answered.clicks))[:count]
    around = rng.permutation(np.resize(np.arange(len(answered.boxes)), BOXES))[:boxed]
    clicks, boxes = torch.from_numpy(answered.clicks[which]), torch.from_numpy(answered.boxes[around])
    click_logits, box_logits = (
        torch.from_numpy(x).float() * (LIMIT / 127)
        for x in (answered.click_logits[which], answered.box_logits[around])
    )
    if mirrored:
        clicks = torch.stack([1 - clicks[:, 0], clicks[:, 1]], 1)
        boxes = mirrored_boxes(boxes)
        click_logits, box_logits = click_logits.flip(-1), box_logits.flip(-1)
    return (
        clicks,
        resized(click_logits, cells).sigmoid(),
        torch.from_numpy(answered.click_iou[which]).float(),
        boxes,
        resized(box_logits, cells).sigmoid(),
        torch.from_numpy(answered.box_iou[around]).float(),
    )


def lesson_losses(model: PromptableModel, lesson: Lesson, options: TrainOptions) -> dict[str, Tensor]:
    """How far a student's answers are from the teacher's."""
    weights = options.weights
    with compute_type(model, options.bfloat16):
        features = model.encode_image(lesson.pixels)
        every = torch.arange(len(lesson.clicks))
        ones = torch.ones(len(every), 1, dtype=torch.int32)
        clicked = ask(model, features, every, points=lesson.clicks[:, None], labels=ones)
        boxed = ask(model, features, torch.arange(len(lesson.boxes)), boxes=lesson.boxes)
        calm = weights.calm * features.embedding.float().square().mean()
    logits, truths = clicked.mask_logits, lesson.click_truths
    worth = lesson.click_iou[:, 1:].clamp(0.05, 1)
    meant = expected_iou(logits, truths, lesson.click_iou)
    boxes, around = boxed.mask_logits, lesson.box_truths[:, None]
    after_box = replace(weights, focal=weights.box_focal, dice=weights.box_dice)
    several = mask_loss(boxes, around.expand_as(boxes), after_box)
    meant_by_box = expected_iou(boxes, around, lesson.box_iou[:, None])
    return {
        "taught": best_of_three(logits[:, 1:], truths[:, 1:], worth, weights).mean(),
        "taught_single": weights.single * mask_loss(logits[:, 0], truths[:, 0], weights).mean(),
        "taught_iou": RANKING * weights.iou * (clicked.iou - meant).square().mean(),
        "taught_box": (several[:, 0] + 0.3 * several[:, 1:].min(1).values).mean(),
        "taught_box_iou": 0.5 * RANKING * weights.iou * (boxed.iou - meant_by_box).square().mean(),
        "obey": 0.15 * weights.disobeyed * disobedience(logits, lesson.clicks[:, None], ones).mean(),
        "calm": calm,
    }


@torch.no_grad()
def expected_iou(logits: Tensor, truths: Tensor, estimates: Tensor) -> Tensor:
    """What masks [P, M, s, s] are worth, given truths [P, T, s, s] and what these are worth [P, T] -> [P, M]:
    as much as the truth that they fit best, as far as they fit it."""
    mine, theirs = (logits > 0).flatten(2).float(), (truths > 0.5).flatten(2).float()
    both = mine @ theirs.transpose(1, 2)
    either = mine.sum(2)[:, :, None] + theirs.sum(2)[:, None] - both
    return (both / either.clamp(min=1) * estimates[:, None].clamp(0, 1)).amax(2)
