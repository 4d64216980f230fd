"""The image predictor: what goes in, what comes out, and that prompts do not disturb one another."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from everymask.errors import InputError, OptionError, PictureError, PromptError, SessionError
from everymask.geometry import Letterbox, Squash
from everymask.image import ImagePredictor, logits_of_masks
from everymask.image.predictor import helped
from everymask.models.features import fingerprint
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.vit import ViTSpec
from everymask.prompts import read_prompts
from tests.fakes import IOUS, FakeModel

FAMILIES = ["sam", "sam2"]


def photo(height=48, width=64, value=100):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture(params=FAMILIES)
def predictor(request):
    predictor = ImagePredictor(FakeModel(request.param))
    predictor.set_image(photo())
    return predictor


def tiny_model(family):
    """A real model of either family, small enough for a fast test, with seeded weights."""
    torch.manual_seed(0)
    if family == "sam":
        trunk = ViTSpec(embed_dim=32, depth=2, num_heads=2, global_blocks=(1,))
        return Sam(replace(MODELS["sam_vit_b"], name="tiny_sam", trunk=trunk, image_size=128)).eval()
    trunk = HieraSpec(16, 1, (1, 1, 2, 1), (3,), (7, 7))
    return Sam2(replace(MODELS["sam2.1_hiera_tiny"], name="tiny_sam2", trunk=trunk, image_size=128)).eval()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


# --- one prompt -----------------------------------------------------------------------------------


def test_one_click_gives_three_masks_with_their_scores_and_logits(predictor):
    answer = predictor.predict(points=[(30, 20)], labels=[1])
    assert (answer.masks.shape, answer.masks.dtype) == ((3, 48, 64), bool)
    assert answer.scores.dtype == np.float32
    assert answer.scores.tolist() == pytest.approx(IOUS[1:])
    assert (answer.logits.shape, answer.logits.dtype) == ((3, 16, 16), np.float32)
    assert answer.photo_logits is None


def test_without_multimask_there_is_one_mask(predictor):
    answer = predictor.predict(points=[(30, 20)], multimask=False)
    assert answer.masks.shape == (1, 48, 64)


def test_the_mask_lies_where_the_click_was(predictor):
    mask = predictor.predict(points=[(30, 20)]).masks[0]
    y, x = np.nonzero(mask)
    assert (x.mean(), y.mean()) == (pytest.approx(30, abs=1), pytest.approx(20, abs=1))


def test_a_sam_mask_keeps_its_shape_and_a_sam2_mask_follows_the_squeeze():
    """A disc of 4 model pixels on a photo of 48 x 64 for a 64 px model."""
    sizes = {}
    for family in FAMILIES:
        predictor = ImagePredictor(FakeModel(family))
        predictor.set_image(photo())
        y, x = np.nonzero(predictor.predict(points=[(30, 24)]).masks[0])
        sizes[family] = (int(np.ptp(x)) + 1, int(np.ptp(y)) + 1)
    assert sizes == {"sam": (7, 7), "sam2": (7, 5)}  # a disc's outermost pixels are not wholly inside


def test_photo_logits_are_what_the_masks_are_made_of(predictor):
    answer = predictor.predict(points=[(30, 20)], return_logits=True)
    assert (answer.photo_logits.shape, answer.photo_logits.dtype) == ((3, 48, 64), np.float32)
    assert ((answer.photo_logits > 0) == answer.masks).all()


def test_only_sam2_clamps_the_logits_it_hands_back():
    for family, least in (("sam", -50), ("sam2", -32)):
        predictor = ImagePredictor(FakeModel(family))
        predictor.set_image(photo())
        answer = predictor.predict(
            box=(1, 1, 20, 20), mask=np.full((16, 16), -50, np.float32), return_logits=True
        )
        assert answer.logits.min() >= least
        low = predictor.predict(mask=np.full((16, 16), -50, np.float32), return_logits=True)
        assert low.logits.min() == least
        assert low.photo_logits.min() == pytest.approx(-50)


def test_best_keeps_the_mask_of_highest_score(predictor):
    answer = predictor.predict(points=[(30, 20)], return_logits=True)
    best = answer.best()
    assert best.scores.tolist() == pytest.approx([0.9])
    assert (best.masks == answer.masks[1:2]).all()
    assert (best.logits == answer.logits[1:2]).all()
    assert (best.photo_logits == answer.photo_logits[1:2]).all()


def test_an_answer_becomes_a_mask_set(predictor):
    answer = predictor.predict(box=[(2, 2, 20, 20), (30, 10, 60, 40)], points=[[(5, 5)], [(50, 30)]])
    masks = answer.to_mask_set()
    assert (len(masks), masks.photo_hw) == (6, (48, 64))
    assert (masks[4].segmentation == answer.masks[1, 1]).all()
    assert masks[4].predicted_iou == pytest.approx(0.9)
    assert len(answer.best().to_mask_set()) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bfloat16_model_answers_in_float32_and_almost_alike(family):
    model = tiny_model(family)
    mask = np.zeros((70, 90), bool)
    mask[20:50, 30:60] = True
    answers = []
    for dtype in (torch.float32, torch.bfloat16):
        predictor = ImagePredictor(model.cast(dtype))
        predictor.set_image(noise(70, 90))
        answers.append(predictor.predict(points=[(40, 30)], mask=mask, return_logits=True))
    wide, half = answers
    assert (half.scores.dtype, half.logits.dtype, half.photo_logits.dtype) == (np.float32,) * 3
    assert np.abs(half.logits - wide.logits).max() < 0.15 * np.ptp(wide.logits)


def test_an_earlier_answer_goes_back_in(predictor):
    first = predictor.predict(points=[(30, 20)])
    for mask in (first.logits[0], first.logits[0:1], torch.from_numpy(first.logits[0])):
        again = predictor.predict(mask=mask, multimask=False)
        assert (again.masks[0] == first.masks[0]).all()


def test_a_binary_mask_comes_back_as_it_was(predictor):
    mask = np.zeros((48, 64), bool)
    mask[8:32, 16:48] = True
    again = predictor.predict(mask=mask).masks[0]
    assert (again != mask).mean() < 0.05  # half a cell at the edge, and the fake model's dot at a point


def test_reprs_tell_the_state(predictor):
    name = predictor.model.spec.name
    assert repr(predictor) == f"ImagePredictor({name}, a 64 x 48 photo)"
    answer = predictor.predict(points=[(30, 20)])
    assert repr(answer) == "Answer(3 masks of a 64 x 48 photo, scores 0.600 0.900 0.800)"
    many = predictor.predict(box=[(0, 0, 9, 9), (1, 1, 8, 8)])
    assert repr(many) == "Answer(3 masks for each of 2 prompts of a 64 x 48 photo)"
    predictor.reset()
    assert repr(predictor) == f"ImagePredictor({name}, no photo set)"


# --- many prompts ---------------------------------------------------------------------------------


def test_many_boxes_give_a_prompt_axis(predictor):
    boxes = np.array([(2, 2, 20, 20), (30, 10, 60, 40)])
    answer = predictor.predict(box=boxes)
    assert (answer.masks.shape, answer.scores.shape, answer.logits.shape) == (
        (2, 3, 48, 64),
        (2, 3),
        (2, 3, 16, 16),
    )
    for row, box in enumerate(boxes):
        assert (answer.masks[row] == predictor.predict(box=box).masks).all()
    assert answer.best().masks.shape == (2, 1, 48, 64)


def test_prompts_of_unequal_length_get_the_masks_they_get_alone():
    for family in FAMILIES:
        predictor = ImagePredictor(tiny_model(family))
        predictor.set_image(noise(70, 90))
        points = [[(10, 10)], [(20, 20), (60, 50)], [(80, 60)]]
        labels = [[1], [1, 0], [1]]
        together = predictor.predict(points, labels)
        for row in range(3):
            alone = predictor.predict(points[row], labels[row])
            np.testing.assert_allclose(together.logits[row], alone.logits, atol=2e-5)
            np.testing.assert_allclose(together.scores[row], alone.scores, atol=1e-5)


def test_more_prompts_than_fit_at_once_are_decoded_in_batches(predictor):
    points = np.stack(np.meshgrid(np.arange(14), np.arange(10)), axis=-1).reshape(140, 1, 2)
    answer = predictor.predict(points)
    assert answer.masks.shape == (140, 3, 48, 64)
    assert predictor.model.decoded_batches == [64, 64, 12]
    assert (answer.masks[139] == predictor.predict(points[139]).masks).all()


def test_scaling_up_in_small_steps_changes_nothing(predictor, monkeypatch):
    points = [[(5, 5)], [(30, 20)], [(50, 40)]]
    whole = predictor.predict(points, return_logits=True)
    monkeypatch.setattr("everymask.image.predictor._PHOTO_LOGITS_AT_ONCE", 1)
    steps = predictor.predict(points, return_logits=True)
    assert (whole.masks == steps.masks).all()
    np.testing.assert_allclose(whole.photo_logits, steps.photo_logits, atol=1e-4)


# --- photos ---------------------------------------------------------------------------------------


def test_a_photo_may_be_an_array_a_pil_picture_or_a_path(tmp_path):
    predictor = ImagePredictor(FakeModel())
    pixels = noise(20, 30)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    features = []
    for given in (pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png")):
        predictor.set_image(given)
        assert predictor.photo_sizes == [(20, 30)]
        features.append(predictor.photos[0].features.embedding)
    assert all((each == features[0]).all() for each in features)


def test_a_batch_of_photos_is_encoded_together_and_chosen_by_number():
    predictor = ImagePredictor(FakeModel())
    predictor.set_images([photo(10, 20), photo(30, 40), photo(50, 60)], batch_size=2)
    assert predictor.model.encoded_batches == [2, 1]
    assert predictor.photo_sizes == [(10, 20), (30, 40), (50, 60)]
    assert predictor.predict(points=[(5, 5)], image=2).masks.shape == (3, 50, 60)


@pytest.mark.parametrize("family", FAMILIES)
def test_photos_in_a_batch_get_the_features_they_get_alone(family):
    predictor = ImagePredictor(tiny_model(family))
    photos = [noise(70, 90, 1), noise(120, 60, 2)]
    predictor.set_images(photos)
    together = [predictor.predict(points=[(30, 40)], image=i).logits for i in (0, 1)]
    for each, batched in zip(photos, together, strict=True):
        predictor.set_image(each)
        np.testing.assert_allclose(predictor.predict(points=[(30, 40)]).logits, batched, atol=2e-5)


def test_a_photo_that_cannot_be_read_leaves_the_earlier_one_set(predictor):
    with pytest.raises(PictureError):
        predictor.set_image("nowhere.jpg")
    assert predictor.photo_sizes == [(48, 64)]


def test_reset_forgets_the_photo(predictor):
    predictor.reset()
    with pytest.raises(SessionError, match="no photo is set; call set_image first"):
        predictor.predict(points=[(1, 1)])
    with pytest.raises(SessionError, match="no photo is set; call set_image first"):
        predictor.save_features("never.safetensors")


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda p: p.set_images([]), OptionError, "set_images takes at least one photo, got none"),
        (lambda p: p.set_images(photo()), OptionError, "takes a list of photos; pass one photo to set_image"),
        (lambda p: p.set_images("a.jpg"), OptionError, "takes a list of photos; pass one photo to set_image"),
        (
            lambda p: p.set_images([photo()], batch_size=0),
            OptionError,
            "batch_size must be at least 1, got 0",
        ),
        (lambda p: p.predict([(1, 1)], image=1), SessionError, "image must be from 0 to 0, got 1"),
        (lambda p: p.predict(), PromptError, "no prompt was given; pass points=, box= or mask="),
        (
            lambda p: ImagePredictor("nano"),
            OptionError,
            r"needs a model, got str; pass everymask.load\('nano'\)",
        ),
    ],
)
def test_wrong_calls_say_what_to_do(predictor, action, error, message):
    with pytest.raises(error, match=message):
        action(predictor)


def test_with_several_photos_the_number_is_needed():
    predictor = ImagePredictor(FakeModel())
    predictor.set_images([photo(), photo()])
    with pytest.raises(SessionError, match="2 photos are set; pass image=0 to image=1"):
        predictor.predict(points=[(1, 1)])


# --- binary masks as prompts ----------------------------------------------------------------------


@pytest.mark.parametrize("frame", [Letterbox((32, 64), 64), Squash((32, 64), 64)])
def test_a_full_mask_is_ten_inside_the_photo_and_minus_ten_in_the_padding(frame):
    logits = logits_of_masks(torch.ones(1, 32, 64, dtype=torch.bool), frame, (16, 16))
    assert logits.shape == (1, 1, 16, 16)
    photo_rows = 8 if isinstance(frame, Letterbox) else 16
    assert (logits[..., :photo_rows, :] == 10).all()
    assert (logits[..., photo_rows:, :] == -10).all()


def test_a_cell_half_covered_is_undecided():
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, :, :2] = True
    logits = logits_of_masks(masks, Squash((64, 64), 64), (16, 16))
    assert logits[0, 0, 0, :2].tolist() == [0.0, -10.0]


# --- features in files ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_restored_features_give_the_same_answer(tmp_path, family):
    predictor = ImagePredictor(tiny_model(family))
    predictor.set_images([noise(70, 90, 1), noise(40, 60, 2)])
    before = predictor.predict(points=[(30, 20)], image=1)
    predictor.save_features(tmp_path / "deep" / "a.safetensors")
    restored = ImagePredictor(predictor.model)
    restored.load_features(tmp_path / "deep" / "a.safetensors")
    after = restored.predict(points=[(30, 20)], image=1)
    assert restored.photo_sizes == [(70, 90), (40, 60)]
    np.testing.assert_allclose(before.logits, after.logits, atol=2e-5)  # memory may lie in another order
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_features_of_other_weights_are_refused(tmp_path):
    predictor = ImagePredictor(FakeModel())
    predictor.set_image(photo())
    predictor.save_features(tmp_path / "a.safetensors")
    with torch.no_grad():
        predictor.model.prompt_encoder.no_mask_embed.weight += 1e-6
    with pytest.raises(
        SessionError, match=r"was made by 'fake_sam2' with weights \w{12}, this model is 'fake_sam2'"
    ):
        predictor.load_features(tmp_path / "a.safetensors")


def test_features_of_another_number_type_are_refused(tmp_path):
    predictor = ImagePredictor(FakeModel())
    predictor.set_image(photo())
    predictor.save_features(tmp_path / "a.safetensors")
    predictor.model.cast(torch.bfloat16)
    with pytest.raises(SessionError, match="load that model in the same number type"):
        predictor.load_features(tmp_path / "a.safetensors")


def test_the_fingerprint_is_that_of_the_weights():
    assert fingerprint(FakeModel("sam")) == fingerprint(FakeModel("sam"))
    assert fingerprint(FakeModel("sam")) != fingerprint(FakeModel("sam2"))
    assert fingerprint(FakeModel("sam")) != fingerprint(FakeModel("sam", image_size=128))


def test_files_that_hold_no_features_are_refused(tmp_path):
    predictor = ImagePredictor(FakeModel())
    with pytest.raises(SessionError, match="there is no features file at"):
        predictor.load_features(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no safetensors file")
    with pytest.raises(SessionError, match="is not a features file"):
        predictor.load_features(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(SessionError, match=r"is not a features file \(its format is None\)"):
        predictor.load_features(tmp_path / "weights.safetensors")


def test_the_features_file_holds_plain_named_tensors(tmp_path):
    predictor = ImagePredictor(tiny_model("sam2"))
    predictor.set_image(noise(70, 90))
    predictor.save_features(tmp_path / "a.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "a.safetensors").items()}
    assert shapes == {
        "0.embedding": (1, 256, 8, 8),
        "0.high_res.0": (1, 32, 32, 32),
        "0.high_res.1": (1, 64, 16, 16),
    }


def test_a_model_that_computes_nan_says_so_instead_of_answering_with_an_empty_mask():
    model = tiny_model("sam2")
    model.sam_mask_decoder.iou_token.weight.data.fill_(float("nan"))
    predictor = ImagePredictor(model)
    predictor.set_image(photo())
    with pytest.raises(
        InputError, match="mask logits must be finite, got NaN or infinity; check the weights"
    ):
        predictor.predict(points=[(10, 10)])


def test_no_boxes_give_no_masks(predictor):
    answer = predictor.predict(box=np.zeros((0, 4)))
    assert answer.masks.shape == (0, 3, 48, 64)
    assert answer.scores.shape == (0, 3)
    assert answer.logits.shape[:2] == (0, 3)
    assert len(answer.to_mask_set()) == 0
    alone = predictor.predict(box=np.zeros((0, 4)), multimask=False, return_logits=True)
    assert alone.masks.shape == alone.photo_logits.shape == (0, 1, 48, 64)


def test_a_mask_alone_is_helped_by_its_box_and_innermost_point():
    masks = np.zeros((2, 48, 64), bool)
    masks[0, 10:21, 20:31] = masks[1, 3, 4] = True
    prompts = helped(read_prompts((48, 64), (16, 16), mask=masks))
    assert prompts.boxes_xyxy_px.tolist() == [[20, 10, 31, 21], [4, 3, 5, 4]]
    assert prompts.points_xy_px.tolist() == [[[25, 15]], [[4, 3]]]
    assert prompts.labels.tolist() == [[1], [1]]


def test_a_mask_beside_a_box_or_points_and_logits_are_left_as_they_are():
    mask = np.ones((48, 64), bool)
    for given in ({"mask": mask, "box": (1, 2, 3, 4)}, {"mask": mask, "points": [(1, 2)]}):
        prompts = read_prompts((48, 64), (16, 16), **given)
        assert helped(prompts) is prompts
    logits = read_prompts((48, 64), (16, 16), mask=np.full((16, 16), -3.5))
    assert helped(logits) is logits


def test_an_empty_mask_is_no_prompt(predictor):
    with pytest.raises(PromptError, match="a mask prompt must have a pixel; give a point or a box"):
        predictor.predict(mask=np.zeros((48, 64), bool))


# --- pixels without data --------------------------------------------------------------------------

LEFT_HALF = np.broadcast_to(np.arange(64) < 32, (48, 64)).copy()


@pytest.fixture
def half(predictor):
    predictor.set_image(photo(), valid=LEFT_HALF)
    return predictor


WITHOUT_DATA = {
    "a click": ({"points": [(40, 20)]}, r"the pixel at point \(40, 20\) has no data \(the raster's nodata"),
    "a click beside it": ({"points": [(9, 9), (63, 47)], "labels": [1, 0]}, r"point \(63, 47\) has no"),
    "one of many clicks": ({"points": [[(9, 9)], [(50, 9)]]}, r"point \(50, 9\) has no data"),
    "a box": ({"box": (33, 2, 60, 40)}, r"box \(33, 2, 60, 40\) has no data"),
    "one of many boxes": ({"box": [(2, 2, 40, 40), (32, 0, 64, 48)]}, r"box \(32, 0, 64, 48\) has no data"),
}  # fmt: skip


@pytest.mark.parametrize("case", WITHOUT_DATA)
def test_a_prompt_where_there_is_no_data_is_refused(half, case):
    asked, said = WITHOUT_DATA[case]
    with pytest.raises(PromptError, match=said):
        half.predict(**asked)


def test_no_mask_has_pixels_without_data(half):
    whole = ImagePredictor(half.model)
    whole.set_image(photo())
    asked = {"points": [(30, 20)], "box": (10, 10, 50, 40), "return_logits": True}
    answer, usual = half.predict(**asked), whole.predict(**asked)
    assert usual.masks[..., 32:].any()
    assert np.array_equal(answer.masks, usual.masks & LEFT_HALF)
    assert np.array_equal(answer.masks, answer.photo_logits > 0)
    small = half.predict(**asked, masks_hw=(24, 32)).masks
    assert small[..., :16].any()
    assert not small[..., 16:].any()
    half.predict(points=[(40, 20)], outside="keep")  # as the official predictors do


def test_where_there_is_no_data_is_read_from_a_raster_and_kept_with_its_features(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    bands = np.full((3, 48, 64), 100, np.uint8)
    bands[:, ~LEFT_HALF] = 0
    profile = {"driver": "GTiff", "count": 3, "height": 48, "width": 64, "dtype": "uint8", "nodata": 0}
    with rasterio.open(
        tmp_path / "a.tif", "w", **profile, transform=rasterio.Affine(1, 0, 5, 0, -1, 5)
    ) as file:
        file.write(bands)
    model = tiny_model("sam2")
    predictor = ImagePredictor(model)
    predictor.set_image(tmp_path / "a.tif")
    predictor.save_features(tmp_path / "features.safetensors")
    again = ImagePredictor(model)
    again.load_features(tmp_path / "features.safetensors")
    for each in (predictor, again, again.alone()):
        assert np.array_equal(each.photos[0].valid, LEFT_HALF)
        with pytest.raises(PromptError, match="has no data"):
            each.predict(points=[(40, 20)])


@pytest.mark.parametrize("valid", [LEFT_HALF.astype(np.uint8), LEFT_HALF.T])
def test_what_is_no_map_of_data_is_refused(predictor, valid):
    with pytest.raises(OptionError, match=r"valid must be bool of the photo's shape \(48, 64\), got"):
        predictor.set_image(photo(), valid=valid)
