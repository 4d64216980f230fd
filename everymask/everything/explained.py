"""Which points of a crop lie on objects that are found already: what the ``fast`` effort need not ask about.

The idea is that of hierarchical prompting in TinySAM (Shu et al. 2023): look with a coarse grid first, then
with the finer ones only where no confident mask lies. A large mask does not count before the last round,
since the middle one is there to find what lies on large objects.
"""

from __future__ import annotations

import numpy as np

from everymask.everything.candidates import Candidate, CropDecoder

LARGE = 1 / 64
"""A mask of a larger share of its crop than this is large."""


class Explained:
    """The places of one crop that lie under a candidate, at the resolution of the logits."""

    def __init__(self, decoder: CropDecoder) -> None:
        self._decoder = decoder
        size = decoder.model.logits_size
        self._small, self._any = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)

    def add(self, candidate: Candidate) -> None:
        """Count the places of a candidate that is not encoded yet."""
        patch = candidate.patch
        assert patch is not None
        inside = patch.values.cpu().numpy() > self._decoder.options.mask_threshold
        height, width = inside.shape
        window = slice(patch.y, patch.y + height), slice(patch.x, patch.x + width)
        self._any[window] |= inside
        if np.count_nonzero(inside) <= LARGE * self._any.size:
            self._small[window] |= inside

    def holds(self, points_xy: np.ndarray, *, last: bool) -> np.ndarray:
        """Which of the points [N, 2] (crop pixels) are explained, bool [N]; ``last``: large masks count."""
        model, crop = self._decoder.model, self._decoder.crop
        placed = model.frame(crop.hw).to_model(points_xy) * (self._any.shape[0] / model.spec.image_size)
        x, y = np.minimum(placed.astype(np.int64), self._any.shape[0] - 1).T
        return (self._any if last else self._small)[y, x]
