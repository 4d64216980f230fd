"""Masks of what words name: :func:`find`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from PIL.Image import Image

from everymask.errors import OptionError, PictureError, PromptError
from everymask.everything.segment import loaded
from everymask.image import ImagePredictor
from everymask.maskset import Mask, MaskSet
from everymask.media.photos import PhotoLike, read_photo
from everymask.models.base import PromptableModel
from everymask.words.detect.protocol import Detection, Detector, Exemplars, check_takes
from everymask.words.detect.table import open_detector

VISUAL = "visual"
"""What SAM 3 was trained to read where boxes alone say what is meant."""
LONGEST = 200
"""The most characters of one word or phrase."""


@overload
def find(
    photo: PhotoLike,
    words: str | Sequence[str] = (),
    model: str | Path | PromptableModel = "nano",
    *,
    detector: str | Detector | None = None,
    threshold: float | None = None,
    at_most: int | None = None,
    like: Sequence[Sequence[float]] = (),
    unlike: Sequence[Sequence[float]] = (),
    masks: MaskSet | None = None,
    device: str | None = None,
    **options: Any,
) -> MaskSet: ...
@overload
def find(
    photo: Sequence[PhotoLike],
    words: str | Sequence[str] = (),
    model: str | Path | PromptableModel = "nano",
    *,
    detector: str | Detector | None = None,
    threshold: float | None = None,
    at_most: int | None = None,
    like: Sequence[Sequence[float]] = (),
    unlike: Sequence[Sequence[float]] = (),
    masks: MaskSet | None = None,
    device: str | None = None,
    **options: Any,
) -> list[MaskSet]: ...
def find(
    photo: PhotoLike | Sequence[PhotoLike],
    words: str | Sequence[str] = (),
    model: str | Path | PromptableModel = "nano",
    *,
    detector: str | Detector | None = None,
    threshold: float | None = None,
    at_most: int | None = None,
    like: Sequence[Sequence[float]] = (),
    unlike: Sequence[Sequence[float]] = (),
    masks: MaskSet | None = None,
    device: str | None = None,
    **options: Any,
) -> MaskSet | list[MaskSet]:
    """The masks of what ``words`` name in a photo, surest first; each with one of the words as its label.

    ``photo`` is a path, an RGB array [H, W, 3] or a PIL picture, or a list of them, which gives a list; each
    is read once before the first is looked at. ``words`` is "dog . leash", "dog, leash" or ["dog", "leash"].
    ``detector`` finds the places, ``model`` outlines them; by default ``lite``, which needs no download and
    knows ImageNet's classes and what they are kinds of ("dog", "vehicle", "fruit"). ``threshold`` is the
    lowest score that counts (by default the detector's own), ``at_most`` how many masks of each word stay.
    ``masks`` of the photo that are there already are chosen from (``lite`` only) instead of running
    everything mode, whose ``options`` these are. A mask's ``attributes`` hold ``score`` (0 to 1) and
    ``detector``.

    ``like`` are boxes XYXY, in pixels, around things of the photo to find more of, ``unlike`` around things
    that are none of these (SAM 3 alone); without ``words`` such masks have no label.

    Raises ``PromptError`` for words that are empty or that the detector cannot know (with the nearest that it
    does), and as :func:`everymask.segment` does.

    >>> em.find("cat.jpg", "cat . dog")      # doctest: +SKIP
    MaskSet(1 mask of a 451 x 300 photo)
    """
    exemplars = read_exemplars(like, unlike)
    unnamed = bool(exemplars) and not words
    asked = [VISUAL] if unnamed else read_words(words)
    if at_most is not None and at_most < 1:
        raise OptionError(f"at_most must be at least 1, got {at_most}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise OptionError(f"threshold must be from 0 to 1, got {threshold}")
    if isinstance(photo, list | tuple):
        if exemplars or masks is not None:
            raise PromptError("like, unlike and masks are of one photo; give one, not a list of photos")
        check_readable(photo)
        photos: list[PhotoLike] = list(photo)
    else:
        photos = [cast("PhotoLike", photo)]
    first = read_photo(photos[0]) if photos else None  # before the model, which may have to be fetched
    if masks is not None and first is not None and masks.photo_hw != first.shape[:2]:
        raise PromptError(f"masks must be of the photo, {first.shape[:2]}; they are of {masks.photo_hw}")
    ready = model if isinstance(model, PromptableModel) else loaded(str(model), device)
    finder: Detector
    if detector is None or isinstance(detector, str):
        finder = open_detector(detector, ready, masks, options)
    else:
        finder = detector
    check_takes(finder, exemplars)
    finder.check(asked)
    labels: list[str | None] = [None] if unnamed else [*asked]
    lowest = finder.threshold if threshold is None else threshold

    def seen(photo: PhotoLike, picture: np.ndarray) -> MaskSet:
        exemplars.check(picture.shape)
        if exemplars:
            detected = finder.detect_like(picture, asked, lowest, exemplars)  # type: ignore[attr-defined]
        else:
            detected = finder.detect(picture, asked, lowest)
        found = sorted(detected, key=lambda each: -each.score)
        result = outlined(picture, limited(found, at_most), labels, ready, finder.name)
        return MaskSet(result, picture.shape[:2], photo=None if isinstance(photo, Image) else photo)

    results = [
        seen(each, first if number == 0 and first is not None else read_photo(each))
        for number, each in enumerate(photos)
    ]
    return results if isinstance(photo, list | tuple) else results[0]


def check_readable(photos: Sequence[PhotoLike]) -> None:
    """Read each photo once, and let go of it. Raises ``PictureError`` with the number of a broken one."""
    for number, each in enumerate(photos, 1):
        try:
            read_photo(each)
        except PictureError as error:
            raise PictureError(f"photo {number} of the list: {error}") from error


def read_exemplars(like: Sequence[Sequence[float]], unlike: Sequence[Sequence[float]]) -> Exemplars:
    """Exemplar boxes as numbers. Raises ``PromptError`` for what is no list of four."""
    try:
        boxes = [np.asarray(each, np.float64).reshape(-1, 4) for each in (like, unlike)]
    except (TypeError, ValueError) as error:
        raise PromptError("like and unlike must be lists of boxes [x0, y0, x1, y1] in pixels") from error
    one, other = (tuple(tuple(map(float, box)) for box in each) for each in boxes)
    return Exemplars(one, other)  # type: ignore[arg-type]


def read_words(words: str | Sequence[str]) -> list[str]:
    """Words to look for, each once: one text with dots or commas between them, or a list of them.

    Those of a list may hold dots themselves; one alone between spaces parts them there too.

    >>> read_words("dog . red leash. Dog")
    ['dog', 'red leash']
    >>> read_words(["St. Bernard", "cat . dog"])
    ['St. Bernard', 'cat', 'dog']
    """
    if not isinstance(words, Iterable):
        raise PromptError(f'words must be a text such as "dog . leash", or a list of texts, got {words!r}')
    listed = [words] if isinstance(words, str) else list(words)
    if not all(isinstance(each, str) for each in listed):
        raise PromptError(f"words must be texts, got {listed!r}")
    between = re.compile(r"[.,;\n]" if isinstance(words, str) else r"(?:^|\s)\.(?=\s|$)|\n")
    parts = [" ".join(part.split()) for each in listed for part in between.split(each)]
    once: dict[str, str] = {}
    for part in filter(None, parts):
        once.setdefault(part.lower(), part)
    asked = list(once.values())
    if not asked:
        raise PromptError('words must name what to look for, such as "dog . leash"; got none')
    for each in asked:
        if len(each) > LONGEST:
            raise PromptError(
                f"a word to look for has at most {LONGEST} characters, got {len(each):,}: {each[:40]!r}...; "
                "put dots between words"
            )
    return asked


def limited(found: Sequence[Detection], at_most: int | None) -> list[Detection]:
    """The first ``at_most`` finds of each word."""
    kept: list[Detection] = []
    for each in found:
        if at_most is None or sum(other.word == each.word for other in kept) < at_most:
            kept.append(each)
    return kept


def outlined(
    picture: np.ndarray,
    found: Sequence[Detection],
    labels: Sequence[str | None],
    model: PromptableModel,
    detector: str,
) -> list[Mask]:
    """The finds as masks: their own, or what the model answers to their boxes."""
    boxes = [each.box_xyxy for each in found if each.mask is None]
    answers = iter(masks_in_boxes(picture, boxes, model))
    result = []
    for each in found:
        mask = next(answers) if each.mask is None else each.mask
        attributes = {**mask.attributes, "score": round(each.score, 4), "detector": detector}
        result.append(mask.replace(label=labels[each.word], attributes=attributes))
    return result


def masks_in_boxes(
    picture: np.ndarray, boxes_xyxy: Sequence[Sequence[float]], model: PromptableModel
) -> list[Mask]:
    """The model's mask for each box."""
    if not boxes_xyxy:
        return []
    predictor = ImagePredictor(model)
    predictor.set_image(picture)
    return list(predictor.predict(box=np.asarray(boxes_xyxy, np.float64), multimask=False).to_mask_set())
