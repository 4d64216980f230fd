"""Image features on fewer, larger tokens: for a look that may be coarse and must be cheap."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from everymask.nn.records import ImageFeatures

TOKENS = 1024
"""Image tokens are merged, 2 x 2 at a time, until there are at most so many: a quarter of the official
models'. Smaller images stay as they are: with nano's 24 x 24 tokens merged, masks are other ones."""


def merged_tokens(features: ImageFeatures, position: Tensor) -> tuple[ImageFeatures, Tensor] | None:
    """Features and ``position`` [1, C, h, w] on at most :data:`TOKENS` image tokens; None if so few they are.

    A merged token is the mean of those it stands for. What attention projects is linear in tokens and
    positions, so merged keys and values are the means of theirs.
    """
    side = 1
    while features.embedding[0, 0].numel() > TOKENS * side * side:
        side *= 2
    if side == 1 or any(length % side for length in features.embedding.shape[-2:]):
        return None
    embedding, *high_res = [F.avg_pool2d(x, side) for x in (features.embedding, *features.high_res)]
    return replace(features, embedding=embedding, high_res=tuple(high_res)), F.avg_pool2d(position, side)
