"""EfficientTAM against its official code on seeded weights: photos in float32, clips in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from everymask import AutomaticMaskGenerator
from everymask.errors import SameTensorsWarning
from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import recognise
from tests.parity.conftest import seeded_photo
from tests.parity.relatives.asking import FRAMES, PHOTO, PROMPTS
from tests.parity.relatives.beside import answers, folder
from tests.parity.relatives.efficienttam import CLIP_PROMPTS, SPECS
from tests.parity.relatives.ours import asked, assert_as_exact, assert_tracked_as, seeded, tracked
from tests.video.parity import moving_scene, write_jpegs

FULL = pytest.mark.full
PUBLISHED = pytest.param("published", marks=FULL)


@pytest.mark.parametrize("size", ["small", PUBLISHED])
def test_a_photo_is_answered_as_exactly_as_by_the_official_code(size, tmp_path):
    official = answers(folder("efficienttam"), "efficienttam", tmp_path / "photo.safetensors", size, "photo")
    ours = asked(seeded(SPECS[size]))
    assert len(ours) == 1 + 2 * len(PROMPTS)
    assert_as_exact(ours, official)


@pytest.mark.parametrize("size", ["small", "small_1", pytest.param("small_2", marks=FULL), PUBLISHED])
def test_two_objects_are_tracked_through_thirty_frames_as_officially(size, tmp_path):
    clip = write_jpegs(tmp_path / "clip", moving_scene(FRAMES))
    file = tmp_path / "clip.safetensors"
    official = answers(folder("efficienttam"), "efficienttam", file, size, "clip", str(clip))
    ours = tracked(seeded(SPECS[size]).double(), clip, CLIP_PROMPTS)
    assert ours.shape == (FRAMES, 2, 90, 140)
    assert_tracked_as(ours, official)


@pytest.mark.parametrize("size", ["small_1", "small_2"])
def test_looking_in_cells_makes_a_difference(size, tmp_path):
    clip = write_jpegs(tmp_path / "clip", moving_scene(6))
    plain, pooled = (tracked(seeded(SPECS[each]).double(), clip, CLIP_PROMPTS) for each in ("small", size))
    assert np.abs(plain[:2] - pooled[:2]).max() < 1e-9  # one frame is remembered as it is
    assert np.abs(plain[2:] - pooled[2:]).max() > 1e-3


def test_many_prompts_share_a_photo_without_finer_maps():
    model = seeded(SPECS["small"])
    with torch.inference_mode():
        features = model.encode_image(model.preprocess(seeded_photo(*PHOTO))[None])
        points = torch.rand(8, 1, 2, generator=torch.Generator().manual_seed(1)) * 128
        prompts = model.encode_prompts(*model.arrange(points, torch.ones(8, 1), None))
        shared, plain = model.decode_many(features, prompts), model.decode(features, prompts)
    spread = float(plain.mask_logits.std())
    assert spread > 0.1
    assert float((shared.mask_logits - plain.mask_logits).abs().max()) < 1e-4 * spread
    assert float((shared.iou - plain.iou).abs().max()) < 1e-5


@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_everything_mode_finds_masks(effort):
    generator = AutomaticMaskGenerator(
        seeded(SPECS["small"]),
        points_per_side=4,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        effort=effort,
    )
    assert len(generator.generate(seeded_photo(*PHOTO))) > 0


@pytest.mark.parametrize("base", ["efficienttam_s", "efficienttam_ti"])
def test_variants_are_told_apart_by_the_name_of_their_file(base):
    with torch.device("meta"):
        state = build(MODELS[base], device="meta").state_dict()
    assert state["image_encoder.trunk.pos_embed"].shape[1] == 197
    assert "sam_mask_decoder.conv_s0.weight" not in state
    for name in (base, f"{base}_1", f"{base}_2", f"{base}_512x512"):
        assert recognise(state, f"checkpoints/{name}.pt") == MODELS[name]
    with pytest.warns(SameTensorsWarning, match=f"taken for {base}. Give the file the published name"):
        assert recognise(state, "mine.pt") == MODELS[base]
