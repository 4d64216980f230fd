"""The automatic mask generators as programs use them beyond ``generate``: options changed afterwards, steps
overridden, the predictor inside, parts of the model replaced."""

import copy

import numpy as np
import pytest
import torch

from everymask.compat.generators import SAM2AutomaticMaskGenerator, SamAutomaticMaskGenerator
from everymask.compat.sam2.modeling import SAM2Base
from everymask.models.load import build
from everymask.models.weights import to_official
from tests.compat import test_sam2_image as sam2_tests
from tests.compat import test_segment_anything_image as sam_tests
from tests.parity.conftest import seeded_photo

OPTIONS = {
    "points_per_side": 4,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
    "crop_nms_thresh": 1.0,
    "points_per_batch": 5,
}
PHOTO = seeded_photo(90, 160)


@pytest.fixture(params=["sam", "sam2"])
def kind_and_model(request):
    if request.param == "sam":
        return SamAutomaticMaskGenerator, copy.deepcopy(sam_tests.models()[0])
    return SAM2AutomaticMaskGenerator, sam2_model()


def sam2_model():
    return build(sam2_tests.TINY, to_official(sam2_tests.models()[0]), kind=SAM2Base)


def assert_same_records(ours, others):
    assert len(ours) == len(others) > 2
    for mine, other in zip(ours, others, strict=True):
        assert mine.keys() == other.keys()
        assert np.mean(mine["segmentation"] != other["segmentation"]) < 1e-3
        assert mine["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-4)
        assert mine["stability_score"] == pytest.approx(other["stability_score"], abs=0.02)
        assert [type(value) for value in mine["bbox"]] == [type(value) for value in other["bbox"]]
        assert mine["point_coords"] == other["point_coords"]
        assert list(mine["crop_box"]) == list(other["crop_box"])


@pytest.mark.parametrize("options", [{}, {"crop_n_layers": 1}, {"min_mask_region_area": 30}])
def test_the_official_steps_give_the_masks_of_the_fast_way(kind_and_model, options):
    kind, model = kind_and_model
    fast = kind(model, **OPTIONS, **options).generate(PHOTO)

    class Watched(kind):
        def _process_batch(self, *args, **kwargs):
            calls.append(args[0])
            return super()._process_batch(*args, **kwargs)

    calls = []
    stepwise = Watched(model, **OPTIONS, **options).generate(PHOTO)
    assert sum(map(len, calls)) == 16 * (5 if options.get("crop_n_layers") else 1)
    assert_same_records(stepwise, fast)


def test_refined_masks_are_those_of_the_fast_way():
    model = sam2_model()
    fast = SAM2AutomaticMaskGenerator(model, **OPTIONS, use_m2m=True)
    stepwise = SAM2AutomaticMaskGenerator(model, **OPTIONS, use_m2m=True)
    stepwise._process_crop = stepwise._process_crop  # an instance's own
    assert_same_records(stepwise.generate(PHOTO), fast.generate(PHOTO))


def test_options_set_after_construction_count(kind_and_model):
    kind, model = kind_and_model
    generator = kind(model, **OPTIONS)
    scores = sorted(mask["predicted_iou"] for mask in generator.generate(PHOTO))
    generator.pred_iou_thresh = scores[len(scores) // 2]
    left = generator.generate(PHOTO)
    assert 0 < len(left) < len(scores)
    assert min(mask["predicted_iou"] for mask in left) > generator.pred_iou_thresh
    generator.point_grids = [np.array([[0.5, 0.5]])]
    assert {tuple(mask["point_coords"][0]) for mask in generator.generate(PHOTO)} <= {(80.0, 45.0)}
    generator.output_mode = "coco_rle"
    assert all(isinstance(mask["segmentation"], dict) for mask in generator.generate(PHOTO))


def test_the_predictor_of_a_generator_is_one_and_the_same(kind_and_model):
    kind, model = kind_and_model
    generator = kind(model, **OPTIONS)
    assert generator.predictor is generator.predictor
    generator.predictor.set_image(PHOTO)
    assert generator.predictor.predict(np.array([[30, 40]]), np.array([1]))[0].shape == (3, 90, 160)


def test_a_replaced_mask_decoder_is_asked_by_predictor_and_generator(kind_and_model):
    kind, model = kind_and_model
    name = "mask_decoder" if hasattr(model, "mask_decoder") else "sam_mask_decoder"
    before = kind(model, **OPTIONS).generate(PHOTO)

    class Around(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, **given):
            masks, iou, *rest = self.inner(**given)
            return (masks, iou * 0 + 0.5, *rest)

        def __getattr__(self, name):
            return super().__getattr__(name) if name in ("inner", "_modules") else getattr(self.inner, name)

    setattr(model, name, Around(getattr(model, name)))
    generator = kind(model, **OPTIONS)
    assert {mask["predicted_iou"] for mask in generator.generate(PHOTO)} == {0.5}
    generator.predictor.set_image(PHOTO)
    assert set(generator.predictor.predict(np.array([[30, 40]]), np.array([1]))[1]) == {0.5}
    assert len(before) > 2


def test_hooks_on_the_mask_decoder_see_the_official_call(kind_and_model):
    kind, model = kind_and_model
    seen = []
    model.decoder.register_forward_hook(
        lambda _m, _args, given, out: seen.append((given, out)), with_kwargs=True
    )
    predictor = kind(model, **OPTIONS).predictor
    predictor.set_image(PHOTO)
    _, scores, _ = predictor.predict(np.array([[30, 40]]), np.array([1]))
    ((given, out),) = seen
    assert given["sparse_prompt_embeddings"].shape == (1, 2, 256)
    assert np.allclose(out[1][0].numpy(), scores)


def test_functions_of_utils_amg_equal_the_official_ones():
    official = pytest.importorskip("segment_anything.utils.amg")
    from everymask.compat.segment_anything.utils import amg

    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 12, 17, generator=draw)
    logits[3] = -9
    masks = logits > 0.5
    assert amg.mask_to_rle_pytorch(masks) == official.mask_to_rle_pytorch(masks)
    assert torch.equal(amg.batched_mask_to_box(masks), official.batched_mask_to_box(masks))
    scores = [f.calculate_stability_score(logits, 0.0, 0.5) for f in (amg, official)]
    assert torch.allclose(*scores, equal_nan=True)
    for rle in official.mask_to_rle_pytorch(masks):
        assert np.array_equal(amg.rle_to_mask(rle), official.rle_to_mask(rle))
        assert amg.area_from_rle(rle) == official.area_from_rle(rle)
        assert amg.coco_encode_rle(rle) == official.coco_encode_rle(rle)
    for mode in ("holes", "islands"):
        for mask in masks.numpy():
            (mine, changed), (theirs, theirs_changed) = (
                f.remove_small_regions(mask, 3, mode) for f in (amg, official)
            )
            assert np.array_equal(mine, theirs)
            assert changed == theirs_changed
    assert amg.generate_crop_boxes((90, 160), 2, 0.3) == official.generate_crop_boxes((90, 160), 2, 0.3)
    boxes = official.batched_mask_to_box(masks)
    for given in ([0, 0, 17, 12], [30, 20, 47, 32]):
        calls = [f.is_box_near_crop_edge(boxes, given, [0, 0, 160, 90], atol=3) for f in (amg, official)]
        assert torch.equal(*calls)
        assert torch.equal(*[f.uncrop_masks(masks, given, 90, 160) for f in (amg, official)])
    grids = [f.build_all_layer_point_grids(8, 2, 2) for f in (amg, official)]
    assert all(np.allclose(mine, theirs) for mine, theirs in zip(*grids, strict=True))
