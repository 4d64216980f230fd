"""``segment_anything.build_sam``: models by the official names, from official checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from everymask.models.load import build
from everymask.models.specs import MODELS, ModelSpec
from everymask.models.weights import read_weights
from everymask.nn.encoders.vit import ViTSpec

from .modeling import Sam

Checkpoint = str | os.PathLike[str] | None
SomeSam = TypeVar("SomeSam", bound=Sam)


def build_sam_vit_h(checkpoint: Checkpoint = None) -> Sam:
    """SAM ViT-H on the CPU, in eval mode; with fresh random weights without a checkpoint."""
    return _build("sam_vit_h", checkpoint)


build_sam = build_sam_vit_h


def build_sam_vit_l(checkpoint: Checkpoint = None) -> Sam:
    """SAM ViT-L, as :func:`build_sam_vit_h`."""
    return _build("sam_vit_l", checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint = None) -> Sam:
    """SAM ViT-B, as :func:`build_sam_vit_h`."""
    return _build("sam_vit_b", checkpoint)


def build_sam_vit_t(checkpoint: Checkpoint = None) -> Sam:
    """MobileSAM, as :func:`build_sam_vit_h`."""
    return _build("mobile_sam", checkpoint)


sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam,
    "vit_h": build_sam,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
}


def _build(name: str, checkpoint: Checkpoint) -> Sam:
    return built(Sam, name, checkpoint).requires_grad_(True)  # as official models, which people fine-tune


def _build_sam(
    encoder_embed_dim: int,
    encoder_depth: int,
    encoder_num_heads: int,
    encoder_global_attn_indexes: Sequence[int],
    checkpoint: Checkpoint = None,
) -> Sam:
    """A SAM of any ViT, as programs that have a size of their own build it."""
    blocks = tuple(encoder_global_attn_indexes)
    trunk = ViTSpec(encoder_embed_dim, encoder_depth, encoder_num_heads, blocks, grid=64)
    spec = replace(MODELS["sam_vit_b"], name="custom_sam", trunk=trunk)
    return _of(Sam, spec, checkpoint).requires_grad_(True)


def built(kind: type[SomeSam], name: str, checkpoint: Checkpoint) -> SomeSam:
    """A model of the table as a ``kind``, without gradients.

    Raises CheckpointError where the official builder raises what torch and pickle raise.
    """
    return _of(kind, MODELS[name], checkpoint)


def _of(kind: type[SomeSam], spec: ModelSpec, checkpoint: Checkpoint) -> SomeSam:
    state = None if checkpoint is None else read_weights(os.fspath(checkpoint))
    model = build(spec, state, kind=kind)
    assert isinstance(model, kind)
    return model
