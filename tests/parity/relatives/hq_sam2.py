"""What the official HQ-SAM 2 makes of seeded weights: run by ``test_hq_sam2.py``.

Its code is on no package index; ``make test-clients`` fetches the repository.

python -m tests.parity.relatives.hq_sam2 OUT.safetensors SPEC photo|finer|clip [CLIP]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from torch import nn

from everymask.models.specs import ModelSpec
from tests.parity import official
from tests.parity.relatives.asking import answer
from tests.video.parity import tiny

_TINY = tiny("sam2.1_hq_hiera_large")
SPECS = {"small": replace(_TINY, decoder=replace(_TINY.decoder, iou_hidden_dim=256))}
"""The official class has the width of that head written in."""
CLIP_PROMPTS: dict[int, dict[str, Any]] = {
    1: {"points": [[30, 40]], "labels": [1]},
    2: {"box": [98, 48, 122, 72]},
}


def official_hq_sam2(spec: ModelSpec, *, video: bool) -> nn.Module:
    """The official model of the spec: SAM 2's constructors, whose classes are those of the HQ modules."""
    import sam2
    from sam2 import sam2_hq_video_predictor
    from sam2.modeling import sam2_hq_base

    base: Any = sam2_hq_base
    base.SAM2Base, base.MaskDecoder = base.SAM2HQBase, base.MaskDecoderHQ
    predictor: Any = sam2_hq_video_predictor
    predictor.SAM2VideoPredictor = predictor.SAM2HQVideoPredictor
    sys.modules["sam2.modeling.sam2_base"] = sam2.modeling.sam2_base = base
    sys.modules["sam2.sam2_video_predictor"] = sam2.sam2_video_predictor = predictor
    return official.official_sam2(spec, video=video).eval().requires_grad_(False)


if __name__ == "__main__":
    answer(official_hq_sam2, SPECS, CLIP_PROMPTS, photos={"finer": {"hq_token_only": True}})
