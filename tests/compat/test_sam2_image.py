"""compat.sam2: the official names, signatures and answers, on the same seeded weights."""

import inspect
import sys
import warnings
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from PIL import Image

from everymask.compat import sam2 as compat
from everymask.compat.sam2.config_files import (
    HF_MODEL_ID_TO_FILENAMES,
    model_of_config,
    spec_of_name,
)
from everymask.errors import KeyMismatchError, OptionError, PictureError, PromptError, UnknownModelError
from everymask.image import ImagePredictor
from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from everymask.nn.choice import StabilityFallback
from everymask.nn.encoders.hiera import HieraSpec
from tests.compat.cases import KINDS, PHOTO_SIZES, assert_close, assert_equal_answers, prompt
from tests.parity.conftest import seeded_photo
from tests.parity.official import seeded_pair

TINY = replace(
    MODELS["sam2.1_hiera_tiny"],
    name="tiny_sam2",
    trunk=HieraSpec(16, 1, (1, 1, 2, 1), (3,), (7, 7)),
    image_size=256,
)
LOGITS_HW = (64, 64)


@lru_cache(maxsize=1)
def models():
    return seeded_pair(TINY)


@pytest.fixture
def pair():
    """Our predictor and the official one."""
    official_module = pytest.importorskip("sam2.sam2_image_predictor")
    ours, official = models()
    return compat.SAM2ImagePredictor(ours), _official_predictor(official_module, official)


def _official_predictor(module, model, **options):
    return of_its_size(_unaltered(module, model, **options))


def of_its_size(predictor):
    """The official predictor for another model size than 1024 px, which is written in."""
    sides = [predictor.model.image_size // stride for stride in (4, 8, 16)]
    predictor._bb_feat_sizes = [(side, side) for side in sides]
    return predictor


def _unaltered(module, model, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the official transforms use torch.jit.script
        return module.SAM2ImagePredictor(model, **options)


# --- signatures -----------------------------------------------------------------------------------


def _parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize(
    "method",
    [
        "__init__",
        "from_pretrained",
        "set_image",
        "set_image_batch",
        "predict",
        "predict_batch",
        "_predict",
        "get_image_embedding",
        "reset_predictor",
    ],
)
def test_predictor_signatures_are_the_official_ones(method):
    official = pytest.importorskip("sam2.sam2_image_predictor").SAM2ImagePredictor
    assert _parameters(getattr(compat.SAM2ImagePredictor, method)) == _parameters(getattr(official, method))


@pytest.mark.parametrize("name", ["build_sam2", "build_sam2_hf"])
def test_builder_signatures_are_the_official_ones(name):
    official = pytest.importorskip("sam2.build_sam")
    assert _parameters(getattr(compat, name)) == _parameters(getattr(official, name))


def test_hub_ids_are_the_official_ones():
    assert pytest.importorskip("sam2.build_sam").HF_MODEL_ID_TO_FILENAMES == HF_MODEL_ID_TO_FILENAMES


@pytest.mark.parametrize(
    "name",
    [
        "SAM2AutomaticMaskGenerator",
        "SAM2VideoPredictor",
        "build_sam2_video_predictor",
        "build_sam2_video_predictor_hf",
    ],
)
def test_names_of_generators_and_videos_are_there(name):
    assert callable(getattr(compat, name))
    assert name in compat.__all__


def test_official_module_paths_exist():
    from everymask.compat.sam2.build_sam import build_sam2
    from everymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor

    assert (build_sam2, SAM2ImagePredictor) == (compat.build_sam2, compat.SAM2ImagePredictor)
    with pytest.raises(AttributeError, match="has no attribute 'build_sam3'"):
        compat.build_sam3  # noqa: B018


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", PHOTO_SIZES)
def test_answers_equal_the_official_ones(pair, size, kind, multimask):
    photo_hw = PHOTO_SIZES[size]
    given = prompt(kind, photo_hw, LOGITS_HW)
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(*photo_hw))
        answers.append(predictor.predict(**given, multimask_output=multimask))
    assert_equal_answers(*answers)
    assert answers[0][0].dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_predictor_gives_the_same(pair, kind):
    photo = seeded_photo(90, 160)
    given = prompt(kind, (90, 160), LOGITS_HW)
    pair[1].set_image(photo)
    masks, scores, logits = pair[1].predict(**given)
    predictor = ImagePredictor(models()[0])
    predictor.set_image(photo)
    ours = predictor.predict(
        given.get("point_coords"), given.get("point_labels"), given.get("box"), given.get("mask_input")
    )
    assert_equal_answers((ours.masks.astype(np.float32), ours.scores, ours.logits), (masks, scores, logits))


def test_no_prompt_at_all_is_answered_as_officially(pair):
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        answers.append(predictor.predict())
    assert_equal_answers(*answers)


def test_logits_on_request_equal_the_official_ones(pair):
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        answers.append(predictor.predict(**prompt("box", (90, 160), LOGITS_HW), return_logits=True))
    assert_equal_answers(*answers)


@pytest.mark.parametrize("count", [2, 5])  # few, and so many that they are decoded together
def test_many_boxes_and_many_clicks_equal_the_official_answers(pair, count):
    boxes = np.array(
        [[10, 10, 60, 50], [40, 20, 150, 80], [0, 0, 160, 90], [3, 4, 9, 80], [50, 1, 99, 20]], float
    )
    boxes = boxes[:count]
    points = np.random.default_rng(0).uniform(0, 90, (count, 2, 2))
    labels = np.array([[1, 0], [1, 1], [0, 1], [1, 0], [1, 1]])[:count]
    for given in (
        {"box": boxes},
        {"point_coords": points, "point_labels": labels},
        {"box": boxes, "point_coords": points, "point_labels": labels},
    ):
        answers = []
        for predictor in pair:
            predictor.set_image(seeded_photo(90, 160))
            answers.append(predictor.predict(**given))
        assert answers[0][0].shape == (count, 3, 90, 160)
        assert_equal_answers(*answers)


def test_points_of_zero_to_one_equal_the_official_answers(pair):
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        answers.append(
            predictor.predict(
                point_coords=np.array([[0.3, 0.6]]),
                point_labels=np.array([1]),
                box=np.array([0.1, 0.2, 0.7, 0.9]),
                normalize_coords=False,
            )
        )
    assert_equal_answers(*answers)


def test_pil_images_and_floats_equal_the_official_answers(pair):
    photo = seeded_photo(90, 160)
    for image in (Image.fromarray(photo), (photo / 255).astype(np.float32)):
        answers = []
        for predictor in pair:
            predictor.set_image(image)
            answers.append(predictor.predict(**prompt("click", (90, 160), LOGITS_HW)))
        assert_equal_answers(*answers)


def test_batches_of_images_equal_the_official_answers(pair):
    photos = [seeded_photo(90, 160), seeded_photo(150, 100)]
    given = [prompt("box, clicks and mask", photo.shape[:2], LOGITS_HW) for photo in photos]
    batches = {f"{name}_batch": [each[name] for each in given] for name in given[0]}
    answers = []
    for predictor in pair:
        predictor.set_image_batch(photos)
        answers.append(predictor.predict_batch(**batches))
    assert all(isinstance(each, list) for each in answers[0])
    for index in range(2):
        assert_equal_answers([each[index] for each in answers[0]], [each[index] for each in answers[1]])
    assert_equal_answers(
        *[predictor.predict(**given[1]) for predictor in pair]
    )  # the last image, officially too


def test_embeddings_equal_the_official_ones(pair):
    for predictor in pair:
        predictor.set_image(seeded_photo(150, 100))
    ours, official = pair
    assert_close(ours.get_image_embedding(), official.get_image_embedding())
    for mine, theirs in zip(
        ours._features["high_res_feats"], official._features["high_res_feats"], strict=True
    ):
        assert_close(mine, theirs)


def test_an_earlier_answers_logits_go_back_in(pair):
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        _, scores, logits = predictor.predict(**prompt("click", (90, 160), LOGITS_HW))
        best = logits[scores.argmax()][None]
        answers.append(
            predictor.predict(
                **prompt("click", (90, 160), LOGITS_HW), mask_input=best, multimask_output=False
            )
        )
    assert_equal_answers(*answers)


def test_a_mask_threshold_is_used(pair):
    official_module = pytest.importorskip("sam2.sam2_image_predictor")
    ours, official = models()
    given = prompt("click", (90, 160), LOGITS_HW)
    answers = []
    for predictor in (
        compat.SAM2ImagePredictor(ours, mask_threshold=1.5),
        _official_predictor(official_module, official, mask_threshold=1.5),
    ):
        predictor.set_image(seeded_photo(90, 160))
        answers.append(predictor.predict(**given))
    assert_equal_answers(*answers)
    pair[0].set_image(seeded_photo(90, 160))
    assert pair[0].predict(**given)[0].sum() > answers[0][0].sum()


# --- traps: each of these fails if we fall in ---------------------------------------------------------


def test_a_box_alone_gets_a_padding_point():
    """Trap 5: SAM 2 adds the padding point even to a box."""
    ours, _ = models()
    points, labels = ours.arrange(None, None, torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert labels.tolist() == [[2, 3, -1]]
    assert points.tolist() == [[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]]


def test_box_corners_come_before_points():
    """Trap 5: the order of the tokens."""
    ours, _ = models()
    _, labels = ours.arrange(
        torch.zeros(1, 2, 2), torch.tensor([[1, 0]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    )
    assert labels.tolist() == [[2, 3, 1, 0, -1]]


def test_masks_are_made_before_the_logits_are_clamped(pair):
    """Trap 4: a mask of clamped logits would have another edge."""
    ours, _ = pair
    ours.set_image(seeded_photo(90, 160))
    given = prompt("click", (90, 160), LOGITS_HW)
    with torch.no_grad():
        for mlp in ours.model.sam_mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight *= 32  # exactly undone below
    try:
        photo_logits, _, logits = ours.predict(**given, return_logits=True)
    finally:
        with torch.no_grad():
            for mlp in ours.model.sam_mask_decoder.output_hypernetworks_mlps:
                mlp.layers[-1].weight /= 32
    assert np.abs(logits).max() == 32
    assert np.abs(photo_logits).max() > 40


def test_an_unstable_single_mask_gives_way_only_with_postprocessing(pair):
    """Trap 11: dynamic multimask is part of the builders' default."""
    plain = compat.SAM2ImagePredictor(_with_fallback(None))
    careful = compat.SAM2ImagePredictor(
        _with_fallback(StabilityFallback(threshold=1.1))
    )  # never stable enough
    given = prompt("box", (90, 160), LOGITS_HW)
    scores = []
    for predictor in (plain, careful):
        predictor.set_image(seeded_photo(90, 160))
        scores.append(predictor.predict(**given, multimask_output=False)[1])
    careful_scores = careful.predict(**given)[1]
    assert scores[1][0] == pytest.approx(careful_scores.max(), abs=1e-6)
    assert scores[0][0] != pytest.approx(scores[1][0], abs=1e-6)


def _with_fallback(fallback):
    from everymask.models.load import build

    return build(replace(TINY, fallback=fallback), to_official(models()[0]))


def test_other_picture_sizes_work_where_the_official_predictor_has_1024_written_in():
    """Trap 14."""
    official_module = pytest.importorskip("sam2.sam2_image_predictor")
    ours, official = models()
    compat.SAM2ImagePredictor(ours).set_image(seeded_photo(90, 160))
    with pytest.raises(RuntimeError, match="shape"):
        _unaltered(official_module, official).set_image(seeded_photo(90, 160))


# --- holes and sprinkles ----------------------------------------------------------------------------


def test_small_holes_and_islands_go_without_a_cuda_extension():
    """Trap 10: the official code leaves this out, with a warning, where it has no extension."""
    logits = torch.full((1, 1, 12, 12), -5.0)
    logits[0, 0, 1:7, 1:7] = 5.0
    logits[0, 0, 3, 3:5] = -1.0  # a hole of 2
    logits[0, 0, 9, 9:12] = 2.0  # an island of 3
    clean = compat.SAM2ImagePredictor(models()[0], max_hole_area=2, max_sprinkle_area=3)._transforms.clean(
        logits
    )
    expected = torch.full((12, 12), -5.0)
    expected[1:7, 1:7] = 5.0
    expected[3, 3:5] = 10.0
    expected[9, 9:12] = -10.0
    assert (clean[0, 0] == expected).all()


def test_regions_above_the_area_stay():
    logits = torch.full((1, 1, 12, 12), -5.0)
    logits[0, 0, 1:7, 1:7] = 5.0
    logits[0, 0, 3, 3:5] = -1.0
    clean = compat.SAM2ImagePredictor(models()[0], max_hole_area=1.9, max_sprinkle_area=33)._transforms.clean(
        logits
    )
    assert (clean == logits).all()


def test_cleaning_changes_what_predict_returns():
    given = prompt("clicks", (90, 160), LOGITS_HW)
    answers = []
    for area in (0, 200):
        predictor = compat.SAM2ImagePredictor(models()[0], max_hole_area=area, max_sprinkle_area=area)
        predictor.set_image(seeded_photo(90, 160))
        answers.append(predictor.predict(**given))
    assert (answers[0][0] != answers[1][0]).any()
    assert (answers[0][2] == answers[1][2]).all()  # the logits handed back are not cleaned, officially


# --- builders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("configs/sam2.1/sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny"),
        ("configs/sam2.1/sam2.1_hiera_s.yaml", "sam2.1_hiera_small"),
        ("configs/sam2.1/sam2.1_hiera_b+.yaml", "sam2.1_hiera_base_plus"),
        ("configs/sam2.1/sam2.1_hiera_l", "sam2.1_hiera_large"),
        ("configs/sam2/sam2_hiera_t.yaml", "sam2_hiera_tiny"),
        ("sam2_hiera_b+.yaml", "sam2_hiera_base_plus"),
        ("//somewhere/sam2_hiera_l.yaml", "sam2_hiera_large"),
        ("nano", "nano"),
    ],
)
def test_config_files_are_known_by_name(config, name):
    assert spec_of_name(config) == MODELS[name]


def test_postprocessing_is_the_fallback_for_unstable_masks():
    for apply, fallback in ((True, StabilityFallback(0.05, 0.98)), (False, None)):
        model = compat.build_sam2("sam2_hiera_t.yaml", device="cpu", apply_postprocessing=apply)
        assert model.sam_mask_decoder.fallback == model.spec.fallback == fallback


def test_overrides_of_options_are_followed_without_hydra(monkeypatch):
    monkeypatch.setitem(sys.modules, "hydra", None)
    overrides = [
        "++model.image_size=512",
        "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.9",
        "++model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=true",
        "++model.num_maskmem=3",
    ]
    model = model_of_config("sam2_hiera_t.yaml", overrides)
    assert (model.image_size, model.spec.image_size) == (512, 512)
    assert model.sam_mask_decoder.fallback == model.spec.fallback == StabilityFallback(0.05, 0.9)
    assert model.num_maskmem == model.spec.memory.frames == len(model.maskmem_tpos_enc) == 3


def test_other_overrides_are_refused_without_hydra_rather_than_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "hydra", None)
    with pytest.raises(OptionError, match=r"says more than model.OPTION=VALUE; pip install hydra-core"):
        model_of_config("sam2_hiera_t.yaml", ["++model.image_encoder.trunk.drop_path_rate=0.1"])


def test_an_unknown_config_is_refused():
    with pytest.raises(
        UnknownModelError, match="no SAM 2 model is known by the config 'sam_vit_b'; expected configs/"
    ):
        compat.build_sam2("sam_vit_b", device="cpu")
    with pytest.raises(
        OptionError, match=r"model_id must be one of facebook/sam2-hiera-tiny, .*, got 'someone/else'"
    ):
        compat.build_sam2_hf("someone/else")


@pytest.fixture
def tiny_config(monkeypatch):
    """The smallest official config name stands for the tiny model."""
    monkeypatch.setitem(MODELS, "sam2.1_hiera_tiny", TINY)
    return "configs/sam2.1/sam2.1_hiera_t.yaml"


def test_an_official_checkpoint_is_built_from(tmp_path, tiny_config):
    _, official = models()
    torch.save({"model": official.state_dict()}, tmp_path / "a.pt")
    model = compat.build_sam2(tiny_config, str(tmp_path / "a.pt"), device="cpu")
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    for key, value in to_official(model).items():
        assert torch.equal(value, official.state_dict()[key])


def test_mode_train_leaves_the_model_in_training(tiny_config):
    assert compat.build_sam2(tiny_config, device="cpu", mode="train").training


def test_a_checkpoint_of_another_model_is_refused(tmp_path, tiny_config):
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "a.pt")
    with pytest.raises(KeyMismatchError, match="the weights do not fit tiny_sam2"):
        compat.build_sam2(tiny_config, tmp_path / "a.pt", device="cpu")


def test_the_default_device_gives_way_where_it_is_missing(tiny_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="sam2's default device 'cuda' is not available; using cpu"):
        model = compat.build_sam2(tiny_config)
    assert model.device.type == "cpu"


def test_a_hub_id_becomes_a_predictor(tmp_path, tiny_config, monkeypatch):
    _, official = models()
    torch.save({"model": official.state_dict()}, tmp_path / "a.pt")
    asked = []
    monkeypatch.setattr("everymask.compat.sam2.config_files.in_hub_cache", lambda *_: None)
    monkeypatch.setattr(
        "everymask.compat.sam2.config_files.pull", lambda name: asked.append(name) or tmp_path / "a.pt"
    )
    predictor = compat.SAM2ImagePredictor.from_pretrained(
        "facebook/sam2.1-hiera-tiny", device="cpu", mask_threshold=0.5
    )
    assert asked == ["facebook/sam2.1-hiera-tiny"]
    assert predictor.mask_threshold == 0.5
    assert predictor.device.type == "cpu"


# --- misuse -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (
            lambda p: p.predict(),
            RuntimeError,
            r"An image must be set with .set_image\(...\) before mask prediction.",
        ),
        (
            lambda p: p.get_image_embedding(),
            RuntimeError,
            r"An image must be set with .set_image\(...\) to generate",
        ),
        (
            lambda p: p.predict_batch(),
            RuntimeError,
            r"An image must be set with .set_image_batch\(...\) before",
        ),
        (
            lambda p: p.set_image("photo.jpg"),
            PictureError,
            "image must be an RGB array or a PIL image, got str",
        ),
        (
            lambda p: p.set_image(np.zeros((4, 5), np.uint8)),
            PictureError,
            r"RGB of shape \(H, W, 3\), got \(4, 5\)",
        ),
        (
            lambda p: p.set_image(Image.new("RGBA", (5, 4))),
            PictureError,
            r"RGB of shape \(H, W, 3\), got \(4, 5, 4\)",
        ),
        (
            lambda p: p.set_image(np.zeros((4, 5, 3), int)),
            PictureError,
            "uint8, or floats of 0 to 1, got int64",
        ),
        (
            lambda p: p.set_image_batch(np.zeros((1, 4, 5, 3))),
            PictureError,
            "must be a list of RGB arrays, got ndarray",
        ),
    ],
)
def test_wrong_calls_say_what_is_expected(action, error, message):
    with pytest.raises(error, match=message):
        action(compat.SAM2ImagePredictor(models()[0]))


def test_points_without_labels_are_refused(pair):
    pair[0].set_image(seeded_photo(90, 160))
    with pytest.raises(PromptError, match="point_labels must be supplied if point_coords is supplied"):
        pair[0].predict(point_coords=np.array([[1, 2]]))
