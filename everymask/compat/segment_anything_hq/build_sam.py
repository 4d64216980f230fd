"""``segment_anything_hq.build_sam``: HQ-SAM by the official names, from official checkpoints.

Unlike the official builders these load strictly, and say nothing where all is well.
"""

from __future__ import annotations

from collections.abc import Callable

from everymask.compat.segment_anything.build_sam import Checkpoint, built

from .modeling import Sam

_TRAINED = ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
"""Parts that HQ-SAM trains; SAM's stay as they are."""


def build_sam_vit_h(checkpoint: Checkpoint = None) -> Sam:
    """HQ-SAM ViT-H on the CPU, in eval mode; with fresh random weights without a checkpoint."""
    return _build("sam_hq_vit_h", checkpoint)


build_sam = build_sam_vit_h


def build_sam_vit_l(checkpoint: Checkpoint = None) -> Sam:
    """HQ-SAM ViT-L, as :func:`build_sam_vit_h`."""
    return _build("sam_hq_vit_l", checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint = None) -> Sam:
    """HQ-SAM ViT-B, as :func:`build_sam_vit_h`."""
    return _build("sam_hq_vit_b", checkpoint)


def build_sam_vit_t(checkpoint: Checkpoint = None) -> Sam:
    """Light HQ-SAM (TinyViT), as :func:`build_sam_vit_h`."""
    return _build("sam_hq_vit_tiny", checkpoint)


sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_tiny": build_sam_vit_t,
}


def _build(name: str, checkpoint: Checkpoint) -> Sam:
    model = built(Sam, name, checkpoint)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in key for part in _TRAINED))
    return model
