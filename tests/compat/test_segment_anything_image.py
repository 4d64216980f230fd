"""compat.segment_anything: the official names, signatures and answers, on the same seeded weights."""

import inspect
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from everymask.compat import segment_anything as compat
from everymask.compat.segment_anything.modeling import Sam
from everymask.compat.segment_anything.utils.transforms import ResizeLongestSide
from everymask.errors import KeyMismatchError, OptionError, PictureError, PromptError, UnsafeCheckpointError
from everymask.image import ImagePredictor
from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from everymask.nn.encoders.vit import ViTSpec
from tests.compat.cases import KINDS, PHOTO_SIZES, assert_close, assert_equal_answers, prompt
from tests.parity.conftest import seeded_photo
from tests.parity.official import seeded_pair

TINY = replace(
    MODELS["sam_vit_b"],
    name="tiny_sam",
    trunk=ViTSpec(embed_dim=32, depth=2, num_heads=2, global_blocks=(1,)),
    image_size=256,
)
LOGITS_HW = (64, 64)


@lru_cache(maxsize=1)
def models():
    ours, official = seeded_pair(TINY)
    return build(TINY, to_official(ours), kind=Sam), official


@pytest.fixture
def pair():
    """Our predictor and the official one."""
    official_module = pytest.importorskip("segment_anything.predictor")
    ours, official = models()
    return compat.SamPredictor(ours), official_module.SamPredictor(official)


def _parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


# --- signatures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        "__init__",
        "set_image",
        "set_torch_image",
        "predict",
        "predict_torch",
        "get_image_embedding",
        "reset_image",
    ],
)
def test_predictor_signatures_are_the_official_ones(method):
    official = pytest.importorskip("segment_anything.predictor").SamPredictor
    assert _parameters(getattr(compat.SamPredictor, method)) == _parameters(getattr(official, method))


@pytest.mark.parametrize("name", ["build_sam", "build_sam_vit_h", "build_sam_vit_l", "build_sam_vit_b"])
def test_builder_signatures_are_the_official_ones(name):
    official = pytest.importorskip("segment_anything")
    assert _parameters(getattr(compat, name)) == _parameters(getattr(official, name))


@pytest.mark.parametrize(
    "method",
    [
        "apply_image",
        "apply_coords",
        "apply_boxes",
        "apply_image_torch",
        "apply_coords_torch",
        "apply_boxes_torch",
        "get_preprocess_shape",
    ],
)
def test_transform_signatures_are_the_official_ones(method):
    official = pytest.importorskip("segment_anything.utils.transforms").ResizeLongestSide
    assert _parameters(getattr(ResizeLongestSide, method)) == _parameters(getattr(official, method))


def test_model_signatures_are_the_official_ones():
    official = pytest.importorskip("segment_anything.modeling").Sam
    for method in ("forward", "postprocess_masks", "preprocess"):
        assert _parameters(getattr(Sam, method)) == _parameters(getattr(official, method))


def test_the_registry_has_the_official_names_and_mobile_sams():
    official = pytest.importorskip("segment_anything").sam_model_registry
    assert compat.sam_model_registry.keys() == {*official, "vit_t"}
    assert compat.sam_model_registry["default"] is compat.build_sam_vit_h is compat.build_sam


@pytest.mark.parametrize("name", ["SamAutomaticMaskGenerator"])
def test_names_of_generators_and_videos_are_there(name):
    assert callable(getattr(compat, name))
    assert name in compat.__all__


def test_official_module_paths_exist():
    from everymask.compat.segment_anything.build_sam import sam_model_registry
    from everymask.compat.segment_anything.predictor import SamPredictor

    assert (sam_model_registry, SamPredictor) == (compat.sam_model_registry, compat.SamPredictor)
    with pytest.raises(AttributeError, match="has no attribute 'SamPredictor2'"):
        compat.SamPredictor2  # noqa: B018


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
    assert answers[0][0].dtype == bool


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_predictor_gives_the_same(pair, kind):
    photo = seeded_photo(90, 160)
    given = prompt(kind, (90, 160), LOGITS_HW)
    pair[1].set_image(photo)
    predictor = ImagePredictor(models()[0])
    predictor.set_image(photo)
    ours = predictor.predict(
        given.get("point_coords"), given.get("point_labels"), given.get("box"), given.get("mask_input")
    )
    assert_equal_answers((ours.masks, ours.scores, ours.logits), pair[1].predict(**given))


def test_no_prompt_at_all_is_answered_as_officially(pair):
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        answers.append(predictor.predict())
    assert_equal_answers(*answers)


def test_bgr_images_and_logits_on_request_equal_the_official_answers(pair):
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160), image_format="BGR")
        answers.append(predictor.predict(**prompt("box", (90, 160), LOGITS_HW), return_logits=True))
    assert_equal_answers(*answers)


def test_a_box_with_a_leading_axis_is_one_prompt(pair):
    """The official examples write ``box[None, :]``."""
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        answers.append(predictor.predict(box=np.array([[10, 10, 60, 50]]), multimask_output=False))
    assert answers[0][0].shape == (1, 90, 160)
    assert_equal_answers(*answers)


@pytest.mark.parametrize("count", [2, 5])  # few, and so many that they are decoded together
def test_many_prompts_as_tensors_equal_the_official_answers(pair, count):
    boxes = torch.tensor(
        [[10, 10, 60, 50], [40, 20, 150, 80], [0, 0, 160, 90], [3, 4, 9, 80], [50, 1, 99, 20]]
    )
    boxes = boxes[:count]
    points = torch.from_numpy(np.random.default_rng(0).uniform(0, 90, (count, 2, 2)).astype(np.float32))
    labels = torch.tensor([[1, 0], [1, 1], [0, 1], [1, 0], [1, 1]])[:count]
    answers = []
    for predictor in pair:
        predictor.set_image(seeded_photo(90, 160))
        moved = predictor.transform.apply_boxes_torch(boxes, (90, 160))
        clicks = predictor.transform.apply_coords_torch(points, (90, 160))
        answers.append(predictor.predict_torch(clicks, labels, boxes=moved, multimask_output=True))
    assert answers[0][0].shape == (count, 3, 90, 160)
    assert answers[0][0].dtype == torch.bool
    assert_equal_answers(*([each.numpy() for each in answer] for answer in answers))


def test_embeddings_and_state_equal_the_official_ones(pair):
    for predictor in pair:
        predictor.set_image(seeded_photo(150, 100))
    ours, official = pair
    assert_close(ours.get_image_embedding(), official.get_image_embedding())
    assert ours.features is ours.get_image_embedding()
    assert (ours.original_size, ours.input_size) == (official.original_size, official.input_size)
    assert ours.is_image_set
    ours.reset_image()
    assert not ours.is_image_set


def test_saved_embeddings_can_be_put_back(pair):
    """Programs keep ``features``, ``original_size`` and ``input_size`` and set them later."""
    ours, _ = pair
    ours.set_image(seeded_photo(150, 100))
    before = ours.predict(**prompt("click", (150, 100), LOGITS_HW))
    other = compat.SamPredictor(ours.model)
    other.features, other.original_size, other.input_size = ours.features, ours.original_size, ours.input_size
    other.is_image_set = True
    assert_equal_answers(other.predict(**prompt("click", (150, 100), LOGITS_HW)), before)


def test_calling_the_model_on_a_batch_equals_the_official_answers():
    pytest.importorskip("segment_anything")
    transform = ResizeLongestSide(256)
    inputs = []
    for index, (height, width) in enumerate([(90, 160), (150, 100)]):
        resized = transform.apply_image(seeded_photo(height, width))
        record = {
            "image": torch.as_tensor(resized).permute(2, 0, 1).contiguous(),
            "original_size": (height, width),
            "boxes": transform.apply_boxes_torch(
                torch.tensor([[10, 10, 60, 50], [5, 20, 90, 80]]), (height, width)
            ),
        }
        if index:
            record["point_coords"] = torch.tensor([[[30.0, 40.0]], [[60.0, 50.0]]])
            record["point_labels"] = torch.ones(2, 1, dtype=torch.int)
            record["mask_inputs"] = torch.linspace(-9, 9, 2 * 64 * 64).reshape(2, 1, 64, 64)
        inputs.append(record)
    ours, official = (model(inputs, multimask_output=True) for model in models())
    for mine, theirs in zip(ours, official, strict=True):
        assert mine.keys() == theirs.keys()
        names = ("masks", "iou_predictions", "low_res_logits")
        assert_equal_answers([mine[n].numpy() for n in names], [theirs[n].numpy() for n in names])


def test_transforms_equal_the_official_ones():
    official = pytest.importorskip("segment_anything.utils.transforms").ResizeLongestSide(256)
    ours = ResizeLongestSide(256)
    for height, width in [*PHOTO_SIZES.values(), (1199, 1801), (3000, 4000)]:
        assert ours.get_preprocess_shape(height, width, 256) == official.get_preprocess_shape(
            height, width, 256
        )
        points = np.array([[0, 0], [width / 3, height / 7], [width - 1, height - 1]])
        mine, theirs = (each.apply_coords(points, (height, width)) for each in (ours, official))
        assert mine.dtype == theirs.dtype == np.float64
        assert (mine == theirs).all()
        boxes = torch.tensor([[0, 0, width - 1, height - 1]])
        mine, theirs = (each.apply_boxes_torch(boxes, (height, width)) for each in (ours, official))
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)
    photo = seeded_photo(150, 100)
    assert (ours.apply_image(photo) == official.apply_image(photo)).all()


def test_a_tensor_photo_is_resized_by_its_height_and_width():
    """The official method reads batch and channels for height and width."""
    assert ResizeLongestSide(64).apply_image_torch(torch.zeros(2, 3, 30, 60)).shape == (2, 3, 32, 64)


# --- traps: each of these fails if we fall in ---------------------------------------------------------


def test_a_box_alone_gets_no_padding_point():
    """Trap 5."""
    _, labels = models()[0].arrange(None, None, torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert labels.tolist() == [[2, 3]]


def test_points_come_before_the_box_and_are_padded_only_without_it():
    """Trap 5."""
    ours = models()[0]
    points, labels = torch.zeros(1, 2, 2), torch.tensor([[1, 0]])
    assert ours.arrange(points, labels, None)[1].tolist() == [[1, 0, -1]]
    assert ours.arrange(points, labels, torch.tensor([[1.0, 2.0, 3.0, 4.0]]))[1].tolist() == [[1, 0, 2, 3]]


def test_padding_is_zero_after_normalising_not_black():
    """Trap 1: black padded first and normalised then would be about -2."""
    pixels = models()[0].preprocess(torch.zeros(1, 3, 128, 256))
    assert (pixels[..., :128, :] < -1.7).all()
    assert (pixels[..., 128:, :] == 0).all()


def test_logits_go_by_way_of_the_square_to_the_photo():
    """Trap 4: one bilinear step from the logits to the photo gives other values."""
    ours = models()[0]
    logits = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    two_steps = ours.postprocess_masks(logits, (144, 256), (90, 160))
    one_step = torch.nn.functional.interpolate(
        logits[..., :36, :], (90, 160), mode="bilinear", align_corners=False
    )
    assert (two_steps - one_step).abs().max() > 0.1
    assert torch.allclose(two_steps, ours.frame((90, 160)).upscale(logits))


def test_logits_handed_back_are_not_clamped():
    """Trap 4: only SAM 2 clamps them."""
    predictor = compat.SamPredictor(models()[0])
    predictor.set_image(seeded_photo(90, 160))
    last = [mlp.layers[-1] for mlp in predictor.model.mask_decoder.output_hypernetworks_mlps]
    with torch.no_grad():
        for layer in last:
            layer.weight *= 32  # exactly undone below
    try:
        _, _, logits = predictor.predict(**prompt("click", (90, 160), LOGITS_HW))
    finally:
        with torch.no_grad():
            for layer in last:
                layer.weight /= 32
    assert np.abs(logits).max() > 40


def test_mobile_sam_is_in_the_registry():
    sam = compat.sam_model_registry["vit_t"]()
    assert (sam.spec.name, sam.image_encoder.img_size) == ("mobile_sam", 1024)


# --- builders ---------------------------------------------------------------------------------------


@pytest.fixture
def tiny_vit_b(monkeypatch):
    monkeypatch.setitem(MODELS, "sam_vit_b", TINY)


@pytest.mark.usefixtures("tiny_vit_b")
def test_an_official_checkpoint_is_built_from(tmp_path):
    _, official = models()
    torch.save(official.state_dict(), tmp_path / "a.pth")
    sam = compat.sam_model_registry["vit_b"](checkpoint=str(tmp_path / "a.pth"))
    sam.to(device="cpu")
    assert not sam.training
    assert all(parameter.requires_grad for parameter in sam.parameters())
    assert (sam.image_format, sam.mask_threshold, sam.image_encoder.img_size) == ("RGB", 0.0, 256)
    for key, value in to_official(sam).items():
        assert torch.equal(value, official.state_dict()[key])
    official.load_state_dict(to_official(sam), strict=True)


@pytest.mark.usefixtures("tiny_vit_b")
def test_without_a_checkpoint_the_weights_are_random():
    first, second = compat.sam_model_registry["vit_b"](), compat.sam_model_registry["vit_b"]()
    assert (first.mask_decoder.iou_token.weight != second.mask_decoder.iou_token.weight).any()


@pytest.mark.usefixtures("tiny_vit_b")
def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(
        KeyMismatchError, match=r"the weights do not fit tiny_sam: .* missing .*; 1 left over"
    ):
        compat.sam_model_registry["vit_b"](tmp_path / "a.pth")


class _Payload:
    def __reduce__(self):
        return print, ("this must never run",)


@pytest.mark.usefixtures("tiny_vit_b")
def test_a_checkpoint_that_carries_code_is_refused(tmp_path, capsys):
    """The official builder would run it."""
    torch.save({"a": _Payload()}, tmp_path / "a.pth")
    with pytest.raises(UnsafeCheckpointError, match=r"a.pth carries code .* and was not opened"):
        compat.sam_model_registry["vit_b"](tmp_path / "a.pth")
    assert capsys.readouterr().out == ""


# --- misuse -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (
            lambda p: p.predict(),
            RuntimeError,
            r"An image must be set with .set_image\(...\) before mask prediction",
        ),
        (
            lambda p: p.predict_torch(None, None),
            RuntimeError,
            r"An image must be set with .set_image\(...\) before",
        ),
        (
            lambda p: p.get_image_embedding(),
            RuntimeError,
            r"An image must be set with .set_image\(...\) to generate",
        ),
        (
            lambda p: p.set_image(np.zeros((4, 5, 3), np.uint8), image_format="GBR"),
            OptionError,
            r"image_format must be in \['RGB', 'BGR'\], is GBR.",
        ),
        (
            lambda p: p.set_image(np.zeros((4, 5, 3))),
            PictureError,
            r"image must be uint8 of shape \(H, W, 3\), got float64 of shape \(4, 5, 3\)",
        ),
        (
            lambda p: p.set_image(np.zeros((4, 5, 4), np.uint8)),
            PictureError,
            r"image must be uint8 of shape \(H, W, 3\), got uint8 of shape \(4, 5, 4\)",
        ),
        (
            lambda p: p.set_torch_image(torch.zeros(1, 3, 100, 100), (100, 100)),
            PictureError,
            r"set_torch_image input must be BCHW with long side 256, got \(1, 3, 100, 100\)",
        ),
    ],
)
def test_wrong_calls_say_what_is_expected(action, error, message):
    with pytest.raises(error, match=message):
        action(compat.SamPredictor(models()[0]))


def test_points_without_labels_are_refused(pair):
    pair[0].set_image(seeded_photo(90, 160))
    with pytest.raises(PromptError, match="point_labels must be supplied if point_coords is supplied"):
        pair[0].predict(point_coords=np.array([[1, 2]]))
