"""What a relative of SAM 2 is asked, in a process of its own: prompts on a photo, objects through a clip."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from everymask.models.specs import ModelSpec
from tests.parity.relatives.beside import install_torchvision
from tests.parity.seeded import fill

CLICK, BOX = ((0.3, 0.4),), (0.2, 0.3, 0.7, 0.8)
"""In shares of the picture."""
PROMPTS: dict[str, dict[str, Any]] = {
    "click": {"points": CLICK, "labels": (1,), "multimask": True},
    "two clicks": {"points": (*CLICK, (0.8, 0.2)), "labels": (1, 0), "multimask": False},
    "box": {"box": BOX, "multimask": False},
    "box and click": {"points": CLICK, "labels": (1,), "box": BOX, "multimask": True},
}
PHOTO = (97, 201, 4)  # height, width, seed
FRAMES = 30
"""Of ``tests.video.parity.moving_scene``; prompts on the first, in pixels, are the relative's own."""

Make = Callable[..., Any]
"""(spec, video=) to the official model."""


def of_photo(make: Make, spec: ModelSpec, **given: Any) -> dict[str, Tensor]:
    """Features, low-resolution logits and predicted IoUs for every prompt, in float32 and in float64."""
    from tests.video.parity import positions_in_double

    model = make(spec, video=False)
    fill(model)
    found = {f"float32.{name}": value for name, value in asked(spec, model, **given).items()}
    with positions_in_double():
        exact = asked(spec, in_double(model), **given)
    return found | {f"float64.{name}": value for name, value in exact.items()}


def in_double(model: Any) -> Any:
    """The model in float64, whose parts take float32 and the bfloat16 of memories as well."""
    from tests.video.parity import _cast_inputs

    model = model.double()
    parts = [
        model.image_encoder,
        model.memory_attention,
        model.memory_encoder,
        model.mask_downsample,
        model.sam_prompt_encoder.mask_downscaling,
    ]
    parts += [
        getattr(model, name) for name in ("spatial_perceiver", "obj_ptr_tpos_proj") if hasattr(model, name)
    ]
    for part in parts:
        part.register_forward_pre_hook(_cast_inputs(torch.float64), with_kwargs=True)
    return model


def asked(spec: ModelSpec, model: Any, **given: Any) -> dict[str, Tensor]:
    """``given`` goes to each call of ``predict``."""
    import numpy as np
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    from tests.parity.conftest import seeded_photo

    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(spec.image_size // stride,) * 2 for stride in (4, 8, 16)]
    height, width, _ = PHOTO
    predictor.set_image(seeded_photo(*PHOTO))
    stored = predictor._features
    found = {"embedding": stored["image_embed"]}
    found |= {f"high_res.{n}": each for n, each in enumerate(stored["high_res_feats"])}
    size = np.array([width, height])
    for name, prompt in PROMPTS.items():
        points, labels, box = (prompt.get(key) for key in ("points", "labels", "box"))
        _, iou, logits = predictor.predict(
            None if points is None else np.array(points) * size,
            None if labels is None else np.array(labels),
            None if box is None else np.array(box) * np.tile(size, 2),
            multimask_output=prompt["multimask"],
            **given,
        )
        found |= {f"{name}.iou": torch.from_numpy(iou), f"{name}.logits": torch.from_numpy(logits)}
    return found


def of_clip(
    make: Make, spec: ModelSpec, clip: str, prompts: Mapping[int, dict[str, Any]]
) -> dict[str, Tensor]:
    """Logits of the objects on every frame, both sides in float64 and with memories kept so.

    In float32 the last bit decides which way a memory is rounded to bfloat16. Objects are tracked one by one:
    EdgeTAM's perceiver fails on two.
    """
    from tests.video.parity import components_without_cuda, memories_kept_in, positions_in_double

    model = make(spec, video=True)
    fill(model)
    model = in_double(model)
    with components_without_cuda(), positions_in_double(), memories_kept_in(torch.float64):
        tracks = []
        for prompt in prompts.values():
            state = model.init_state(clip)
            model.add_new_points(state, 0, 1, **prompt)
            tracks.append(torch.stack([logits[0, 0] for _, _, logits in model.propagate_in_video(state)]))
    return {"logits": torch.stack(tracks, dim=1)}


def answer(
    make: Make,
    specs: Mapping[str, ModelSpec],
    prompts: Mapping[int, dict[str, Any]],
    *,
    while_tracking: Callable[[], AbstractContextManager[Any]] = nullcontext,
    photos: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """The command ``OUT.safetensors SPEC photo|clip [CLIP]``.

    ``photos`` are further words in place of ``photo``, with what ``predict`` is given then.
    """
    out, size, what, *clip = sys.argv[1:]
    install_torchvision()
    with torch.no_grad():
        if what == "clip":
            with while_tracking():
                found = of_clip(make, specs[size], *clip, prompts)
        else:
            found = of_photo(make, specs[size], **{"photo": {}, **(photos or {})}[what])
    save_file({name: value.contiguous() for name, value in found.items()}, out)
