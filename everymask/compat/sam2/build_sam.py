"""``sam2.build_sam``: models by the official config names, from official checkpoints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from everymask.models.load import build
from everymask.models.weights import fill_weights, read_weights

from .configs import HF_MODEL_ID_TO_FILENAMES, checkpoint_of_hub_id, config_of_hub_id, spec_of_config
from .devices import available
from .modeling import SAM2Base

if TYPE_CHECKING:
    from everymask.compat.sam2_video import build_sam2_video_predictor, build_sam2_video_predictor_hf

__all__ = [
    "HF_MODEL_ID_TO_FILENAMES",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]


def build_sam2(
    config_file: str,
    ckpt_path: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: list[str] = [],  # noqa: B006 - the official default
    apply_postprocessing: bool = True,
    **kwargs: Any,
) -> SAM2Base:
    """A SAM 2 model by its config name; with fresh random weights without a checkpoint.

    On a machine without CUDA the default device gives way, with a warning. Further keyword arguments
    are taken and not used, as officially. Raises CheckpointError (UnknownModelError, ...) or OptionError.
    """
    spec = spec_of_config(config_file, apply_postprocessing, hydra_overrides_extra)
    state = None if ckpt_path is None else read_weights(os.fspath(ckpt_path))
    model = build(spec, state, available(device), kind=SAM2Base)
    assert isinstance(model, SAM2Base)
    return model.requires_grad_(True).train(mode != "eval")


def _load_checkpoint(model: torch.nn.Module, ckpt_path: str | os.PathLike[str] | None) -> None:
    """Put a checkpoint's weights into a model, strictly; nothing happens without a path."""
    if ckpt_path is not None:
        fill_weights(model, read_weights(os.fspath(ckpt_path)))


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:
    """A SAM 2 model by its hub id, "facebook/sam2.1-hiera-large"; what no cache has is downloaded."""
    return build_sam2(config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)


def __getattr__(name: str) -> Any:
    """The video builders, imported at their first use (PEP 562)."""
    if name in ("build_sam2_video_predictor", "build_sam2_video_predictor_hf"):
        from everymask.compat import sam2_video

        return getattr(sam2_video, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
