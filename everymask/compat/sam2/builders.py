"""What the builders of ``sam2.build_sam`` and ``from_pretrained`` have in common."""

from __future__ import annotations

import os

import torch

from everymask.models.load import WithoutInitialisation, placed
from everymask.models.weights import fill_weights, read_weights

from .config_files import model_of_config
from .devices import available
from .modeling import SAM2Base

PathOrNone = str | os.PathLike[str] | None

_FALLBACK = "++model.sam_mask_decoder_extra_args.dynamic_multimask_"
POSTPROCESSING = [
    f"{_FALLBACK}via_stability=true",
    f"{_FALLBACK}stability_delta=0.05",
    f"{_FALLBACK}stability_thresh=0.98",
]
VIDEO_POSTPROCESSING = ["++model.binarize_mask_from_pts_for_mem_enc=true", "++model.fill_hole_area=8"]


def built(
    kind: type[SAM2Base],
    config_file: str,
    overrides: list[str],
    ckpt_path: PathOrNone,
    device: str | torch.device,
    mode: str,
) -> SAM2Base:
    """A model of class ``kind`` by its config name, with a checkpoint's weights or fresh ones."""
    if ckpt_path is None:
        model = model_of_config(config_file, overrides, kind)
    else:
        state = read_weights(os.fspath(ckpt_path))
        with WithoutInitialisation():
            model = model_of_config(config_file, overrides, kind)
        fill_weights(model, placed(state, "cpu", consume=True))
    return model.to(available(device)).train(mode != "eval")


def built_for_video(
    kind: type[SAM2Base],
    config_file: str,
    ckpt_path: PathOrNone = None,
    device: str | torch.device = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: list[str] | None = None,
    apply_postprocessing: bool = True,
) -> SAM2Base:
    """:func:`built` with what ``apply_postprocessing`` means for a video predictor."""
    more = [*POSTPROCESSING, *VIDEO_POSTPROCESSING] if apply_postprocessing else []
    return built(kind, config_file, [*(hydra_overrides_extra or []), *more], ckpt_path, device, mode)
