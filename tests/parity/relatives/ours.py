"""Our models, asked what the relatives' official code is asked (``asking.py``), and compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask import ImagePredictor, VideoTracker
from everymask.models.load import build
from everymask.models.memory import ABSENT
from everymask.models.sam2 import Sam2
from everymask.models.specs import ModelSpec
from tests.parity.conftest import seeded_photo
from tests.parity.relatives.asking import PHOTO, PROMPTS
from tests.parity.seeded import seeded_state
from tests.video.parity import memories_kept_in, spread_error


def seeded(spec: ModelSpec) -> Any:
    return build(spec, seeded_state({key: x.shape for key, x in build(spec).state_dict().items()}))


def asked(model: Sam2) -> dict[str, Tensor]:
    """The official code's features, logits and predicted IoUs, from ours."""
    photo = seeded_photo(*PHOTO)
    height, width = photo.shape[:2]
    predictor = ImagePredictor(model)
    predictor.set_image(photo)
    with torch.inference_mode():
        features = model.encode_image(model.preprocess(photo)[None])
    found = {"embedding": features.embedding}
    found |= {f"high_res.{index}": each for index, each in enumerate(features.high_res)}
    for name, prompt in PROMPTS.items():
        points = np.array(prompt["points"]) * (width, height) if "points" in prompt else None
        box = np.array(prompt["box"]) * (width, height, width, height) if "box" in prompt else None
        answer = predictor.predict(points, prompt.get("labels"), box, multimask=prompt["multimask"])
        found[f"{name}.logits"] = torch.as_tensor(answer.logits).clamp(-32, 32)
        found[f"{name}.iou"] = torch.as_tensor(answer.scores)
    return found


def tracked(model: Sam2, clip: Path, prompts: Mapping[int, dict[str, Any]]) -> np.ndarray:
    """Logits [frames, objects, H, W] of a model in float64, memories kept so."""
    with memories_kept_in(torch.float64):
        session = VideoTracker(model, keep_frames=None).open(clip)
        for object_id, prompt in prompts.items():
            session.add_prompt(0, object_id, **prompt)
        return np.stack([frame.logits for frame in session.propagate()])


def assert_tracked_as(ours: np.ndarray, official: Mapping[str, Tensor]) -> None:
    """Both sides in float64; on more than five frames there is something to compare."""
    there = ours > ABSENT
    assert there.any(axis=(1, 2, 3)).sum() > 5
    assert np.ptp(ours[there]) > 1
    theirs = official["logits"].numpy()
    assert ours.shape == theirs.shape
    assert spread_error(ours, theirs) < 1e-3


def assert_as_exact(ours: Mapping[str, Tensor], official: Mapping[str, Tensor]) -> None:
    """Errors in float32 are no larger than the official code's own, both against its float64.

    The root mean square is compared. The largest error depends on how a kernel happens to add up: features of
    EfficientTAM tiny are off by at most 1.06e-5 where each sum of products is one chain and by 3.1e-6 where
    sums are made in blocks (oneDNN's and MKL's way on a Zen 3), by root mean square 1.08e-6 and 5.5e-7. The
    factor has room for that: EdgeTAM's features are off by 3.5 times the official code's error where products
    are MKL's, by 1.2 times where they are oneDNN's. The largest error has the limit of all parity tests.
    """
    for name, value in ours.items():
        exact, theirs = official[f"float64.{name}"], official[f"float32.{name}"]
        assert value.shape == exact.shape, name
        error, official_error = (float((each - exact).square().mean().sqrt()) for each in (value, theirs))
        assert error <= 4 * official_error + 1e-6, name
        spread = max(float(exact.std(correction=0)), 0.1)
        assert float((value - exact).abs().max()) <= 1e-4 * spread, name
