"""The generator's own behaviour: defined results for strange photos, progress, errors, efforts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from everymask.errors import InputError, PictureError
from everymask.everything import encoding
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.models.weights import fill_weights, to_official
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.parity.seeded import seeded_state

SPECS = {
    "sam": replace(MODELS["sam_vit_b"], image_size=128, trunk=ViTSpec(32, 1, 2, global_blocks=(0,))),
    "sam2": replace(
        MODELS["sam2.1_hiera_tiny"], image_size=256, trunk=HieraSpec(16, 1, (1, 2, 2, 1), (4,), (7, 7))
    ),
}
OPEN = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


def seeded(name):
    spec = SPECS[name]
    model = (Sam if spec.family == "sam" else Sam2)(spec)
    fill_weights(model, seeded_state({k: v.shape for k, v in to_official(model).items()}))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=SPECS)
def model(request):
    torch.set_num_threads(1)
    return seeded(request.param)


@pytest.fixture(scope="module")
def sam2():
    torch.set_num_threads(1)
    return seeded("sam2")


@pytest.mark.parametrize("hw", [(1, 1), (1, 3000), (3000, 1), (2, 3)])
@pytest.mark.parametrize("layers", [0, 1])
def test_photo_of_any_shape_has_a_defined_result(model, hw, layers):
    photo = np.full((*hw, 3), 90, np.uint8)
    masks = AutomaticMaskGenerator(model, crop_n_layers=layers, **OPEN).generate(photo)
    assert masks.photo_hw == hw
    assert all(m.segmentation.shape == hw for m in masks)


def test_photo_of_one_colour(model):
    masks = AutomaticMaskGenerator(model, **OPEN).generate(np.zeros((60, 80, 3), np.uint8))
    assert len(masks) == 12


def test_read_only_photo_and_mirrored_view(model):
    photo = np.arange(60 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 80, 3)
    photo.flags.writeable = False
    generator = AutomaticMaskGenerator(model, **OPEN)
    assert len(generator.generate(photo)) == 12
    assert len(generator.generate(photo[:, ::-1])) == 12


def test_no_mask_passes(model):
    generator = AutomaticMaskGenerator(model, points_per_side=2, pred_iou_thresh=1.0, crop_n_layers=1)
    masks = generator.generate(np.zeros((60, 80, 3), np.uint8))
    assert len(masks) == 0
    assert masks.to_dicts("coco_rle") == []
    assert masks.photo_hw == (60, 80)


@pytest.mark.parametrize(("threshold", "share"), [(-1e6, 1.0), (1e6, 0.0)])
@pytest.mark.parametrize("area", [0, 25])
def test_masks_of_everything_and_of_nothing(model, threshold, share, area):
    generator = AutomaticMaskGenerator(model, mask_threshold=threshold, min_mask_region_area=area, **OPEN)
    masks = generator.generate(np.zeros((60, 80, 3), np.uint8))
    assert len(masks) > 0
    if area == 0:
        assert {m.area / 4800 for m in masks} == {share}
        assert {m.bbox for m in masks} == {(0, 0, 79, 59) if share else (0, 0, 0, 0)}


def test_empty_masks_are_dropped_by_stability(model):
    generator = AutomaticMaskGenerator(
        model, **{**OPEN, "mask_threshold": 1e6, "stability_score_thresh": 0.1}
    )
    assert len(generator.generate(np.zeros((60, 80, 3), np.uint8))) == 0


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        [[1]],
    ],
)
def test_what_is_no_photo_is_refused(model, photo):
    with pytest.raises(PictureError, match="a photo must"):
        AutomaticMaskGenerator(model).generate(photo)


def test_nan_in_the_weights_is_an_error():
    broken = seeded("sam2")
    broken.decoder.iou_prediction_head.layers[-1].bias.data.fill_(float("nan"))
    with pytest.raises(
        InputError, match="predicted IoU must be finite, got NaN or infinity; check the weights"
    ):
        AutomaticMaskGenerator(broken, **OPEN).generate(np.zeros((20, 20, 3), np.uint8))


def test_progress_counts_every_point_and_crop(model):
    seen = []
    generator = AutomaticMaskGenerator(model, **{**OPEN, "points_per_side": 3, "crop_n_layers": 1})
    generator.generate(np.zeros((60, 80, 3), np.uint8), progress=seen.append)
    assert [s.points_done for s in seen] == sorted(s.points_done for s in seen)
    assert seen[-1].points_done == seen[-1].points == 45
    assert (seen[0].crop, seen[-1].crop, seen[-1].crops) == (1, 5, 5)


def test_interrupt_leaves_the_generator_usable(model):
    generator = AutomaticMaskGenerator(model, **{**OPEN, "points_per_side": 4})
    photo = np.zeros((60, 80, 3), np.uint8)

    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator.generate(photo, progress=interrupt)
    assert len(generator.generate(photo)) > 0


def test_threads_do_not_change_the_masks(sam2):
    from tests.parity.conftest import seeded_photo

    generator = AutomaticMaskGenerator(sam2, **{**OPEN, "points_per_side": 3})
    photo = seeded_photo(97, 180)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = generator.generate(photo).to_dicts("coco_rle")
        torch.set_num_threads(2)
        two = generator.generate(photo).to_dicts("coco_rle")
    finally:
        torch.set_num_threads(before)
    assert [d["point_coords"] for d in one] == [d["point_coords"] for d in two]
    assert np.mean([a["segmentation"] == b["segmentation"] for a, b in zip(one, two, strict=True)]) > 0.5
    assert max(abs(a["area"] - b["area"]) for a, b in zip(one, two, strict=True)) <= 5


def test_half_precision_gives_nearly_the_same_masks(sam2):
    from everymask.masks.scores import rle_iou
    from tests.parity.conftest import seeded_photo

    photo = seeded_photo(97, 180)
    exact, half = (AutomaticMaskGenerator(sam2, effort=e, **OPEN).generate(photo) for e in ("exact", "bf16"))
    best = [max(rle_iou(a.runs, b.runs) for b in half if b.point_coords == a.point_coords) for a in exact]
    assert np.mean(best) > 0.9


@pytest.mark.parametrize("looks", [torch.float32, torch.bfloat16])
def test_fast_effort_gives_masks_of_exact_whatever_it_looks_in(sam2, looks, monkeypatch):
    monkeypatch.setattr(encoding, "fast_dtype", lambda device: looks)
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (80, 100, 3), np.uint8)
    exact, fast = (AutomaticMaskGenerator(sam2, effort=e, **OPEN).generate(photo) for e in ("exact", "fast"))
    assert len(fast) > 0
    assert {m.rle["counts"] for m in fast} <= {m.rle["counts"] for m in exact}


def test_fast_effort_asks_about_fewer_points(sam2):
    from tests.parity.conftest import seeded_photo

    options = {**OPEN, "points_per_side": 5}
    photo = seeded_photo(97, 180)
    every = AutomaticMaskGenerator(sam2, **options).generate(photo)
    seen = []
    some = AutomaticMaskGenerator(sam2, effort="fast", **options).generate(photo, progress=seen.append)
    assert 0 < len(some) < len(every)
    assert seen[-1].points_done == 25  # skipped points count as done
    points = {m.point_coords for m in every}
    assert all(m.point_coords in points for m in some)


@pytest.mark.parametrize("looks", [torch.float32, torch.bfloat16])
def test_fast_effort_with_a_coarse_pass_gives_masks_of_exact(model, looks, monkeypatch):
    from everymask.nn import merged_tokens
    from tests.parity.conftest import seeded_photo

    monkeypatch.setattr(merged_tokens, "TOKENS", 16)
    monkeypatch.setattr(encoding, "fast_dtype", lambda device: looks)
    options = {"points_per_side": 5, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    photo = seeded_photo(97, 180)
    every = AutomaticMaskGenerator(model, **options, box_nms_thresh=1.0).generate(photo)
    seen = []
    generator = AutomaticMaskGenerator(model, effort="fast", **options, box_nms_thresh=0.9)
    some = generator.generate(photo, progress=seen.append)
    assert 0 < len(some) < len(every)
    assert seen[-1].points_done == 25  # a point that the coarse pass saw is done
    exact = {(m.point_coords, m.bbox, m.area) for m in every}
    assert all((m.point_coords, m.bbox, m.area) in exact for m in some)  # nothing coarse is handed out


def test_fast_effort_has_a_coarse_pass_in_every_crop(model, monkeypatch):
    from everymask.everything import fewer_points
    from everymask.nn import merged_tokens

    monkeypatch.setattr(merged_tokens, "TOKENS", 16)
    looked = []
    original = fewer_points.estimated
    monkeypatch.setattr(
        fewer_points, "estimated", lambda d, p: looked.append((d.crop.xyxy, len(p))) or original(d, p)
    )
    options = {**OPEN, "points_per_side": 3, "crop_n_layers": 1}
    AutomaticMaskGenerator(model, effort="fast", **options).generate(np.zeros((60, 80, 3), np.uint8))
    assert len({crop for crop, _ in looked}) == 5
    assert sum(points for _, points in looked) == 45


def test_bfloat16_model_works(sam2):
    half = seeded("sam2").cast(torch.bfloat16)
    assert len(AutomaticMaskGenerator(half, **OPEN).generate(np.zeros((60, 80, 3), np.uint8))) == 12


@pytest.mark.parametrize("together", [2, 7])
def test_crops_encoded_together_give_the_same_masks(model, together, monkeypatch):
    photo = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    generator = AutomaticMaskGenerator(model, crop_n_layers=1, **OPEN)
    alone = generator.generate(photo)
    monkeypatch.setattr(AutomaticMaskGenerator, "_crops_together", together)
    at_once = generator.generate(photo)
    assert len(alone) == len(at_once) > 0
    for one, other in zip(alone, at_once, strict=True):
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)
        assert np.mean(one.segmentation != other.segmentation) < 1e-3
