"""What goes: clicked, boxed, named, or in a mask file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import PromptError
from ...media.photos import read_photo
from ..shared.words import Words


def asked_for(
    photo: Path,
    photo_hw: tuple[int, ...],
    points: list[str],
    boxes: list[str],
    masks: list[Path],
    words: Words,
    model: tuple[str, str | None],
    verb: str = "erase",
) -> np.ndarray:
    """All that is meant, bool [H, W]; ``verb`` is what is to be done with it."""
    from ..predict.command import ask
    from ..predict.prompts import check_against, names_of, read_object_prompts
    from ..shared.rough_masks import read_rough_mask

    if not (points or boxes or masks or words.asked):
        raise PromptError(
            f"nothing to {verb}; give --point X,Y, --box X0,Y0,X1,Y1, --text WORDS or --mask FILE"
        )
    hole = np.zeros(photo_hw[:2], bool)
    for path in masks:
        hole |= read_rough_mask(path, photo_hw, several=True)
    if points or boxes:
        prompts = read_object_prompts(points, boxes, [])
        check_against(photo_hw, prompts)  # type: ignore[arg-type]
        for found in ask(*model, read_photo(photo), prompts, names_of([], prompts), {}, False):
            hole |= found.masks[0].segmentation
    if words.asked:
        from ..shared.words import open_finder

        named = open_finder(*model, words, {}, {})(read_photo(photo), lambda done, total: None)
        if not len(named) and not hole.any():
            raise PromptError(f"no {' and no '.join(words.asked)} was found in {photo}; nothing was {verb}d")
        for mask in named:
            hole |= mask.segmentation
    return hole
