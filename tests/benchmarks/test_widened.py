"""nano's decoder at the official width says what nano says."""

from dataclasses import replace
from pathlib import Path

import torch

import everymask
from benchmarks.widened import lender, residual_map, widen_decoder
from everymask.models.sam import Sam
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


def test_so_does_the_decoder_of_the_first_family():
    """Which has no maps of high resolution, and other names for the layers of its blocks."""
    nano = lender("sam", str(Path(everymask.__file__).parent / "assets" / "photo.jpg"))
    side = nano.spec.image_size
    wide = Sam(replace(MODELS["mobile_sam"], image_size=side)).eval()
    widen_decoder(wide, nano)
    embedding = torch.randn(1, 128, side // 16, side // 16, generator=torch.Generator().manual_seed(0))
    nothing = tuple(torch.zeros(1, c, side // s, side // s) for c, s in ((16, 4), (32, 8)))
    points, labels = torch.tensor([[[80.0, 200.0]], [[170.0, 40.0]]]), torch.ones(2, 1, dtype=torch.int32)
    with torch.inference_mode():
        ours = wide.decode(
            ImageFeatures(embedding[:, residual_map()]),
            wide.encode_prompts(*wide.arrange(points, labels, None)),
        )
        theirs = nano.decode(
            ImageFeatures(embedding, nothing), nano.encode_prompts(*nano.arrange(points, labels, None))
        )
    together = torch.stack([ours.mask_logits.flatten(), theirs.mask_logits.flatten()])
    assert torch.corrcoef(together)[0, 1] > 0.98  # this family has no token for "is it there"
