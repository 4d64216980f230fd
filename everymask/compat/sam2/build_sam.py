"""``sam2.build_sam``: models by the official config names, from official checkpoints."""

from __future__ import annotations

import os
from typing import Any

import torch

from everymask.models.load import WithoutInitialisation, placed
from everymask.models.weights import fill_weights, read_weights

from .config_files import (
    HF_MODEL_ID_TO_FILENAMES,
    checkpoint_of_hub_id,
    config_of_hub_id,
    model_of_config,
)
from .devices import available
from .modeling import SAM2Base
from .sam2_video_predictor import SAM2VideoPredictor, SAM2VideoPredictorVOS

__all__ = [
    "HF_MODEL_ID_TO_FILENAMES",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]

_Path = str | os.PathLike[str] | None

_FALLBACK = "++model.sam_mask_decoder_extra_args.dynamic_multimask_"
POSTPROCESSING = [
    f"{_FALLBACK}via_stability=true",
    f"{_FALLBACK}stability_delta=0.05",
    f"{_FALLBACK}stability_thresh=0.98",
]
VIDEO_POSTPROCESSING = ["++model.binarize_mask_from_pts_for_mem_enc=true", "++model.fill_hole_area=8"]


def build_sam2(
    config_file: str,
    ckpt_path: _Path = None,
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
    return _built(SAM2Base, config_file, overrides, ckpt_path, device, mode)


def build_sam2_video_predictor(
    config_file: str,
    ckpt_path: _Path = None,
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
    more = [*POSTPROCESSING, *VIDEO_POSTPROCESSING] if apply_postprocessing else []
    kind = SAM2VideoPredictorVOS if vos_optimized else SAM2VideoPredictor
    model = _built(kind, config_file, [*hydra_overrides_extra, *more], ckpt_path, device, mode)
    assert isinstance(model, SAM2VideoPredictor)
    return model


def _built(
    kind: type[SAM2Base],
    config_file: str,
    overrides: list[str],
    ckpt_path: _Path,
    device: str | torch.device,
    mode: str,
) -> SAM2Base:
    if ckpt_path is None:
        model = model_of_config(config_file, overrides, kind)
    else:
        state = read_weights(os.fspath(ckpt_path))
        with WithoutInitialisation():
            model = model_of_config(config_file, overrides, kind)
        fill_weights(model, placed(state, "cpu", consume=True))
    return model.to(available(device)).train(mode != "eval")


def _load_checkpoint(model: torch.nn.Module, ckpt_path: _Path) -> None:
    """Put a checkpoint's weights into a model, strictly; nothing happens without a path."""
    if ckpt_path is not None:
        fill_weights(model, read_weights(os.fspath(ckpt_path)))


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:
    """A SAM 2 model by its hub id, "facebook/sam2.1-hiera-large"; what no cache has is downloaded."""
    return build_sam2(config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
    """A video predictor by its hub id, as :func:`build_sam2_hf`."""
    return build_sam2_video_predictor(config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)
