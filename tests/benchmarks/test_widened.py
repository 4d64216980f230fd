"""nano's decoder at the official width says what nano says."""

from dataclasses import replace

import torch

from benchmarks.widened import lender, residual_map, widen_decoder
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.records import ImageFeatures


def test_the_wide_decoder_gives_the_narrow_ones_masks():
    nano = lender("sam2", "")
    spec = MODELS["sam2.1_hiera_tiny"]
    wide = Sam2(replace(spec, image_size=nano.spec.image_size, memory=None)).eval()
    widen_decoder(wide, nano)
    side = nano.spec.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    points, labels = torch.tensor([[[80.0, 200.0]], [[170.0, 40.0]]]), torch.ones(2, 1, dtype=torch.int32)
    with torch.inference_mode():
        maps = nano.image_encoder(pixels)
        doubled = [x[:, residual_map()] for x in maps]
        features = wide.without_memory(
            ImageFeatures(doubled[2], wide.decoder.project_high_res(doubled[0], doubled[1]))
        )
        ours = wide.decode(features, wide.encode_prompts(*wide.arrange(points, labels, None)))
        theirs = nano.decode(
            nano.encode_image(pixels), nano.encode_prompts(*nano.arrange(points, labels, None))
        )
    spread = theirs.mask_logits.std()
    assert (ours.mask_logits - theirs.mask_logits).abs().max() < 1e-4 * spread
    assert (ours.iou - theirs.iou).abs().max() < 1e-5
