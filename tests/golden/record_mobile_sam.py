"""Record golden numbers from the official MobileSAM code, which no package registry carries.

    python -m tests.golden.record_mobile_sam PATH_TO_A_MOBILESAM_CHECKOUT

Writes ``mobile_sam.npz`` beside this file: what the official predictor says about seeded pictures with
seeded weights, from the photo to the masks, for every kind of prompt. Features and logits are thinned,
masks are every fourth row (with the areas of the whole ones). Recorded from the repository
ChaoningZhang/MobileSAM; its TinyViT imports four helpers of ``timm``, for which this script has stand-ins.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.parity import torchvision_standin
from tests.parity.conftest import seeded_photo
from tests.parity.seeded import fill

HERE = Path(__file__).parent
PHOTOS = {"landscape": (600, 900, 1), "portrait": (1500, 1000, 2), "tiny": (48, 64, 3)}  # height, width, seed
KINDS = ("click", "points", "box", "box and points", "second round")
MASK_ROWS = slice(1, None, 4)


def main(checkout: str) -> None:
    torch.set_grad_enabled(False)
    mobile_sam = import_official(Path(checkout))
    model = mobile_sam.sam_model_registry["vit_t"]()
    fill(model)
    # TinyViT lays out its attention biases in eval(), which the builder calls *before* it reads a
    # checkpoint: without this second call (it is in their README) the biases stay zero.
    model.eval()
    answers: dict[str, np.ndarray] = {}
    for name, (height, width, seed) in PHOTOS.items():
        predictor = mobile_sam.SamPredictor(model)
        predictor.set_image(seeded_photo(height, width, seed))
        for key, value in numbers(predictor, height, width).items():
            answers[f"{name}.{key}"] = value
    np.savez_compressed(HERE / "mobile_sam.npz", **answers)


def numbers(predictor, height: int, width: int) -> dict[str, np.ndarray]:
    features = predictor.get_image_embedding()[0]
    answers = {"features": thinned(features, 7), "features_std": features.std().numpy()}
    best = None
    for kind in KINDS:
        points, labels, box, multimask = prompt(kind, height, width)
        earlier = best if kind == "second round" else None
        masks, ious, logits = predictor.predict(points, labels, box, earlier, multimask)
        if kind == "points":
            best = logits[[ious.argmax()]]
            answers["logits_std"] = logits.std()
        answers |= {
            f"{kind}.logits": logits[:, ::8, ::8],
            f"{kind}.iou": ious,
            f"{kind}.area": masks.sum(axis=(1, 2)),
            f"{kind}.rows": np.packbits(masks[:, MASK_ROWS]),
        }
    return answers


def prompt(kind: str, height: int, width: int) -> tuple[np.ndarray | None, np.ndarray | None, Any, bool]:
    """Points (x, y) and labels, box XYXY, and whether three masks are asked for.

    The "second round" is told its own side's best logits for "points" as well.
    """
    size = np.array([width, height])
    points, labels = np.array([(0.5, 0.4), (0.1, 0.8)]) * size, np.array([1, 0])
    box = np.array([0.2, 0.3, 0.7, 0.8]) * np.tile(size, 2)
    match kind:
        case "click":
            return points[:1], labels[:1], None, True
        case "points":
            return points, labels, None, True
        case "box":
            return None, None, box, False
        case "box and points":
            return points, labels, box, True
    return points, labels, None, False


def thinned(features: Tensor, step: int) -> np.ndarray:
    """Every ``step``-th channel, row and column of [C, h, w], the last row and column included."""
    rows = [*range(0, features.shape[1], step), features.shape[1] - 1]
    columns = [*range(0, features.shape[2], step), features.shape[2] - 1]
    return features[::step][:, rows][:, :, columns].numpy()


def import_official(checkout: Path) -> ModuleType:
    """The package ``mobile_sam`` of a checkout."""
    torchvision_standin.install()
    contents: dict[str, dict[str, object]] = {
        "timm": {},
        "timm.models": {},
        "timm.models.layers": {
            "DropPath": DropPath,
            "to_2tuple": lambda x: x if isinstance(x, tuple) else (x, x),
            "trunc_normal_": nn.init.trunc_normal_,
        },
        "timm.models.registry": {"register_model": lambda function: function},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__dict__.update(members, __path__=[])
        sys.modules.setdefault(name, module)
    sys.path.insert(0, str(checkout))
    import mobile_sam

    return mobile_sam


class DropPath(nn.Module):
    """Stochastic depth, which does nothing outside training."""

    def __init__(self, drop_prob: float | None = None) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


if __name__ == "__main__":
    main(sys.argv[1])
