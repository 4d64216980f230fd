"""``sam2.build_sam``: models by the official config names, from official checkpoints."""

from __future__ import annotations

import os
from typing import Any

import torch

from everymask.models.weights import fill_weights, read_weights

from .builders import POSTPROCESSING, PathOrNone, built, built_for_video
from .config_files import HF_MODEL_ID_TO_FILENAMES, checkpoint_of_hub_id, config_of_hub_id
from .modeling import SAM2Base
from .sam2_video_predictor import SAM2VideoPredictor, SAM2VideoPredictorVOS

__all__ = [
    "HF_MODEL_ID_TO_FILENAMES",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]


def build_sam2(
    config_file: str,
    ckpt_path: PathOrNone = None,
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
    overrides = [*hydra_overrides_extra, *(POSTPROCESSING if apply_postprocessing else [])]
    return built(SAM2Base, config_file, overrides, ckpt_path, device, mode)


def build_sam2_video_predictor(
    config_file: str,
    ckpt_path: PathOrNone = None,
    device: str | torch.device = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: list[str] = [],  # noqa: B006 - the official default
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    **kwargs: Any,
) -> SAM2VideoPredictor:
    """A video predictor by its config name, as :func:`build_sam2`.

    ``vos_optimized`` gives the class of that name; officially it compiles the model's parts, here it has
    nothing more to do.
    """
    kind = SAM2VideoPredictorVOS if vos_optimized else SAM2VideoPredictor
    model = built_for_video(
        kind, config_file, ckpt_path, device, mode, hydra_overrides_extra, apply_postprocessing
    )
    assert isinstance(model, SAM2VideoPredictor)
    return model


def _load_checkpoint(model: torch.nn.Module, ckpt_path: PathOrNone) -> None:
    """Put a checkpoint's weights into a model, strictly; nothing happens without a path."""
    if ckpt_path is not None:
        fill_weights(model, read_weights(os.fspath(ckpt_path)))


def _hf_download(model_id: str) -> tuple[str, str]:
    """The config name and the checkpoint's path of a hub id."""
    return config_of_hub_id(model_id), os.fspath(checkpoint_of_hub_id(model_id))


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:
    """A SAM 2 model by its hub id, "facebook/sam2.1-hiera-large"; what no cache has is downloaded."""
    return build_sam2(config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
    """A video predictor by its hub id, as :func:`build_sam2_hf`."""
    return build_sam2_video_predictor(config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)
