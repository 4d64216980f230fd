"""The modules under their official names, and small seeded models made by them, for programs of others."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

OFFICIAL = ("segment_anything", "sam2")


class Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Every official module is the one of everymask under the same name."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        found = name.partition(".")[0] in OFFICIAL
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(f"everymask.compat.{module.__name__}")


def seeded(model: Any) -> Any:
    from tests.parity.seeded import fill

    fill(model)
    return model.eval()


def small_sam() -> Any:
    """A SAM by the official constructors, as one program or the other would build it."""
    from functools import partial

    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    encoder = ImageEncoderViT(
        img_size=128,
        embed_dim=32,
        depth=3,
        num_heads=2,
        out_chans=32,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=3,
        global_attn_indexes=(1,),
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=48, num_heads=4)
    prompts = PromptEncoder(32, (8, 8), (128, 128), 16)
    return seeded(Sam(encoder, prompts, MaskDecoder(transformer_dim=32, transformer=transformer)))


def small_sam2(ours: bool) -> Any:
    from tests.parity.official import official_model
    from tests.video.parity import tiny

    spec = tiny()
    if not ours:
        return seeded(official_model(spec))
    from everymask.compat.sam2.modeling import SAM2Base

    return seeded(SAM2Base.of(spec))


PICTURE = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
PHOTO = (PICTURE[0] * 255).permute(1, 2, 0).to(torch.uint8).numpy()
"""RGB uint8 [128, 128, 3]."""


def small_video(ours: bool) -> Any:
    """A video predictor; without hole filling, which is officially left out where there is no CUDA."""
    from tests.video.parity import tiny, video_pair

    if not ours:
        _, official = video_pair(tiny())
        official.fill_hole_area = 0
        return official
    from everymask.compat.sam2 import SAM2VideoPredictor

    return seeded(SAM2VideoPredictor.of(tiny(), binarize_mask_from_pts_for_mem_enc=True))


def frames(count: int) -> np.ndarray:
    """Of a clip in which a disc and a square move, RGB uint8 [N, 90, 140, 3]."""
    from tests.video.parity import moving_scene

    return moving_scene(count)


def with_mask(values: Any) -> torch.Tensor:
    """Masks that were answered, as numbers."""
    return torch.from_numpy(np.asarray(values).astype(np.uint8))
