"""What the official HQ-SAM (PyPI ``segment-anything-hq``) makes of seeded weights: run by ``test_hq_sam.py``.

python -m tests.parity.relatives.hq_sam OUT.safetensors small|tiny
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.parity.relatives.beside import install_torchvision

SPECS = {
    "small": replace(
        MODELS["sam_hq_vit_b"],
        image_size=256,
        trunk=ViTSpec(48, 4, 4, global_blocks=(1, 3)),
        decoder=replace(MODELS["sam_hq_vit_b"].decoder, early_dim=48),
    ),
    "tiny": MODELS["sam_hq_vit_tiny"],  # whose official code has 64 x 64 tokens written in
}
PHOTO = (97, 201, 4)  # height, width, seed
PROMPTS: dict[str, dict[str, Any]] = {
    "click": {"points": ((0.3, 0.4),), "labels": (1,)},
    "clicks": {"points": ((0.3, 0.4), (0.8, 0.2)), "labels": (1, 0), "multimask_output": False},
    "box": {"box": (0.2, 0.3, 0.7, 0.8), "multimask_output": False},
    "box, its own token": {"box": (0.2, 0.3, 0.7, 0.8), "hq_token_only": True},
}
"""In shares of the picture."""
GENERATOR = {
    "points_per_side": 4,
    "pred_iou_thresh": 0.7,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
}


def official_hq(spec: ModelSpec) -> nn.Module:
    from segment_anything_hq.modeling import ImageEncoderViT, MaskDecoderHQ, PromptEncoder, Sam, TinyViT
    from segment_anything_hq.modeling import TwoWayTransformer as Transformer

    trunk, decoder = spec.trunk, spec.decoder
    encoder: nn.Module
    if isinstance(trunk, ViTSpec):
        encoder = ImageEncoderViT(
            img_size=spec.image_size,
            embed_dim=trunk.embed_dim,
            depth=trunk.depth,
            num_heads=trunk.num_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=trunk.window_size,
            global_attn_indexes=trunk.global_blocks,
        )
    else:
        encoder = TinyViT(
            img_size=1024,
            embed_dims=trunk.embed_dims,
            depths=trunk.depths,
            num_heads=trunk.num_heads,
            window_sizes=trunk.window_sizes,
            drop_path_rate=0.0,
        )
    prompts = PromptEncoder(spec.embed_dim, spec.embedding_hw, (spec.image_size,) * 2, spec.mask_channels)
    masks = MaskDecoderHQ(
        transformer_dim=spec.embed_dim,
        transformer=Transformer(decoder.depth, spec.embed_dim, decoder.heads, decoder.mlp_dim),
        vit_dim=decoder.early_dim,
    )
    return Sam(encoder, prompts, masks).requires_grad_(False)


def asked(predictor: Any) -> dict[str, Tensor]:
    """Features, low-resolution logits, predicted IoUs and masks: of the official predictor, or of ours."""
    from tests.parity.conftest import seeded_photo

    height, width, _ = PHOTO
    predictor.set_image(seeded_photo(*PHOTO))
    found = {"features": predictor.features, "early": predictor.interm_features[0]}
    size = np.array([width, height])
    for name, prompt in PROMPTS.items():
        given = dict(prompt)
        points, labels, box = (given.pop(key, None) for key in ("points", "labels", "box"))
        masks, iou, logits = predictor.predict(
            None if points is None else np.array(points) * size,
            None if labels is None else np.array(labels),
            None if box is None else np.array(box) * np.tile(size, 2),
            **given,
        )
        for key, value in {"masks": masks, "iou": iou, "logits": logits}.items():
            found[f"{name}.{key}"] = torch.from_numpy(value)
    return found


def generated(generator: Callable[..., list[dict[str, Any]]], multimask_output: bool) -> dict[str, Tensor]:
    """Everything mode of the official generator, or of ours."""
    from tests.parity.conftest import seeded_photo

    records = generator(seeded_photo(*PHOTO), multimask_output=multimask_output)
    key = f"everything {multimask_output}"
    return {
        f"{key}.masks": torch.from_numpy(np.stack([record["segmentation"] for record in records])),
        f"{key}.iou": torch.tensor([record["predicted_iou"] for record in records]),
        f"{key}.boxes": torch.tensor([record["bbox"] for record in records]),
    }


def main(out: str, size: str) -> None:
    install_torchvision()
    from segment_anything_hq import SamAutomaticMaskGenerator, SamPredictor

    from tests.parity.seeded import fill

    model = official_hq(SPECS[size])
    fill(model)
    model.eval()  # after the weights: TinyViT lays out its biases then
    found = asked(SamPredictor(model))
    if size == "small":
        generator = SamAutomaticMaskGenerator(model, **GENERATOR)  # type: ignore[arg-type]
        for multimask_output in (True, False):
            found |= generated(generator.generate, multimask_output)
    save_file({name: value.contiguous() for name, value in found.items()}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
