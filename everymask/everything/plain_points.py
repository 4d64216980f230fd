"""The prompts of everything mode through a decoder that somebody touched, or HQ-SAM's: its plain form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from everymask.models.base import PromptableModel
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings


class Points(Protocol):
    """What everything mode asks of a decoder; what ``attend`` gives goes into ``masks_of`` as it is."""

    @property
    def hw(self) -> tuple[int, int]: ...

    def twin(self) -> Any: ...

    def attend(self, sparse: Tensor, mask_factors: Tensor | None = None) -> Any: ...

    def masks_of(self, attended: Any, asked: Sequence[tuple[int, Sequence[int]]]) -> list[Tensor]: ...


@dataclass(frozen=True)
class PlainPoints:
    """Does for a touched decoder (``nn/touched.py``), or one without a fast form, what
    :class:`PointDecoder` does for the others.

    Modules that replace others are called, and hooks see the tensors of the official steps.
    """

    model: PromptableModel
    features: ImageFeatures  # of one crop

    @property
    def hw(self) -> tuple[int, int]:
        """Of the image embedding."""
        return self.model.embedding_size

    def twin(self) -> PlainPoints:
        """Itself: it has no memory of its own."""
        return self

    def attend(self, sparse: Tensor, mask_factors: Tensor | None = None) -> Decoded:
        """All masks of P prompts: ``sparse`` [P, n, C], ``mask_factors`` [P, K, N] of mask prompts."""
        dense = None
        if mask_factors is not None:
            last = self.model.prompts.mask_downscaling[-1]
            dense = last(mask_factors.to(self.model.dtype).unflatten(2, self.hw))
        return self.model.decode(self.features, PromptEmbeddings(sparse.to(self.model.dtype), dense))

    def masks_of(self, decoded: Decoded, asked: Sequence[tuple[int, Sequence[int]]]) -> list[Tensor]:
        """Mask logits [len(which), 4h, 4w] of each prompt; HQ-SAM's with the finer mask added."""
        return [self._masks(decoded, prompt, which) for prompt, which in asked]

    def _masks(self, decoded: Decoded, prompt: int, which: Sequence[int]) -> Tensor:
        logits = decoded.mask_logits[prompt, list(which)].float()
        return logits if decoded.hq_logits is None else logits + decoded.hq_logits[prompt].float()
