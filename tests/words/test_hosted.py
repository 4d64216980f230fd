"""Detectors of `transformers` on small random models: opened without a network, scored as it does."""

import hashlib
import json
import shutil
import socket
from itertools import chain

import numpy as np
import pytest
import torch

import everymask as em
from everymask.errors import (
    CheckpointError,
    DownloadError,
    MissingExtraError,
    OfflineError,
    OptionError,
    PromptError,
)
from everymask.models.file_sets import pull_set
from everymask.words.detect.grounding import Grounding
from everymask.words.detect.owl import Owl
from everymask.words.detect.roi_align import roi_align
from everymask.words.detect.sam3 import Sam3
from everymask.words.detect.table import DETECTORS, detector_name, open_detector
from everymask.words.detect.weights import HOSTED
from tests.parity.torchvision_standin import hidden

with hidden():
    tiny = pytest.importorskip("tests.words.tiny", reason="needs transformers")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("no_network")]

HW = (50, 70)
WORDS = ["red block", "blue block", "dog"]


@pytest.fixture(autouse=True)
def without_the_stand_in():
    with hidden():
        yield


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("somebody went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("detectors")
    return {
        "grounding": tiny.grounding(home / "grounding"),
        "mm": tiny.grounding(home / "mm", "mm"),
        "owl": tiny.owl(home / "owl"),
        "sam3": tiny.sam3(home / "sam3"),
    }


@pytest.fixture(scope="module")
def model():
    return em.load("nano", device="cpu")


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)


@pytest.mark.parametrize("kind", ["grounding", "mm"])
def test_boxes_and_scores_are_those_of_transformers(folders, photo, kind):
    detector = Grounding(folders[kind])
    with torch.inference_mode():
        inputs = detector.processor(images=photo, text="red block. blue block. dog.", return_tensors="pt")
        theirs = detector.processor.post_process_grounded_object_detection(
            detector.model(**inputs),
            inputs["input_ids"],
            threshold=0,
            text_threshold=2,
            target_sizes=[(50, 70)],
        )[0]
    boxes, scores = detector.ask(photo, WORDS)
    np.testing.assert_allclose(boxes, theirs["boxes"], atol=1e-4)
    assert scores.shape == (12, 3)
    # theirs is the best of all tokens, dots and [SEP] included; ours of the words' own
    assert (scores.max(1) <= theirs["scores"].numpy() + 1e-6).all()


def test_each_word_is_scored_on_its_own_tokens_alone(folders, photo):
    detector = Grounding(folders["grounding"])
    inputs, scored = detector.prepare(photo, WORDS)
    pieces = detector.processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    assert pieces == ["[CLS]", "red", "block", ".", "blue", "block", ".", "dog", ".", "[SEP]"]
    lonely = torch.zeros(10, 10)
    lonely[range(10), range(10)] = 1  # row n: token n alone is sure
    assert scored(lonely).argmax(1)[[1, 2, 4, 5, 7]].tolist() == [0, 0, 1, 1, 2]
    assert scored(lonely)[[0, 3, 6, 8, 9]].sum() == 0


def test_owl_boxes_scores_and_labels_are_those_of_transformers(folders, photo):
    detector = Owl(folders["owl"])
    inputs, _ = detector.prepare(photo, WORDS)
    with torch.inference_mode():
        theirs = detector.processor.post_process_grounded_object_detection(
            detector.model(**inputs), threshold=-1.0, target_sizes=[(50, 70)]
        )[0]
    boxes, scores = detector.ask(photo, WORDS)
    np.testing.assert_allclose(boxes, theirs["boxes"], atol=1e-4)
    np.testing.assert_allclose(scores.max(1), theirs["scores"], atol=1e-6)
    np.testing.assert_array_equal(scores.argmax(1), theirs["labels"])


def test_long_lists_go_in_passes_and_every_find_keeps_its_word(folders, photo):
    words = [
        f"{a} {b}" for a in ("red", "blue", "the") for b in ("dog", "cat", "leash", "block", "car", "truck")
    ]
    detector = Grounding(folders["grounding"])
    passes = detector.passes(words)
    assert len(passes) > 1
    assert list(chain(*passes)) == list(range(len(words)))
    assert all(2 + 3 * len(some) <= 32 for some in passes)
    found = detector.detect(photo, words, 0.0)
    assert found
    assert {each.word for each in found} <= set(range(len(words)))
    for some in passes:
        _, scores = detector.ask(photo, [words[number] for number in some])
        np.testing.assert_allclose([detector.highest[number] for number in some], scores.max(0), atol=1e-6)
    alone = Grounding(folders["grounding"], words_per_pass=1)
    assert alone.passes(WORDS) == [[0], [1], [2]]


def test_a_thousand_classes_are_asked_about(folders, photo):
    words = [f"dog {number}" for number in range(1000)]
    detector = Owl(folders["owl"])
    assert list(chain(*detector.passes(words))) == list(range(1000))
    assert all(each.score > 0.99 for each in detector.detect(photo, words[:130], 0.99))


def test_boxes_stay_in_the_photo_and_overlapping_ones_go(folders, photo):
    found = Grounding(folders["grounding"]).detect(photo, WORDS, 0.0)
    boxes = np.array([each.box_xyxy for each in found])
    assert (boxes >= 0).all()
    assert (boxes[:, [0, 2]] <= 70).all()
    assert (boxes[:, [1, 3]] <= 50).all()
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)


def test_find_outlines_what_a_detector_finds(folders, photo, model):
    result = em.find(photo, "Red Block . DOG", model, detector=str(folders["owl"]), threshold=0.0, at_most=2)
    assert 1 <= len(result) <= 4
    assert {mask.label for mask in result} <= {"Red Block", "DOG"}
    assert {mask.attributes["detector"] for mask in result} == {"owl"}
    assert len(em.find(photo, "dog", model, detector=str(folders["owl"]), threshold=1.0)) == 0


def test_sam3_gives_its_own_masks_with_scores_and_boxes_of_transformers(folders, photo):
    detector = Sam3(folders["sam3"])
    pixels = detector.prepare(photo)
    assert pixels.shape == (1, 3, 112, 112)
    assert -1 <= pixels.min() < pixels.max() <= 1
    tokens = detector.tokenizer("dog", padding="max_length", max_length=32, return_tensors="pt")
    with torch.inference_mode():
        answer = detector.model(pixel_values=pixels, **tokens)
        scores = answer.pred_logits[0].sigmoid() * answer.presence_logits[0].sigmoid()
        masks = (
            torch.nn.functional.interpolate(answer.pred_masks.sigmoid(), size=(50, 70), mode="bilinear")[0]
            > 0.5
        )
        ours = detector.ask(detector.model.get_vision_features(pixels), "dog", (50, 70), 0.0)[0]
    shown = [row for row in range(10) if masks[row].any()]
    assert shown
    np.testing.assert_allclose([each[0] for each in ours], scores[shown], atol=1e-5)
    boxes = (answer.pred_boxes[0, shown] * torch.tensor([70, 50, 70, 50])).clamp(min=0)
    np.testing.assert_allclose(
        [each[1] for each in ours], torch.minimum(boxes, torch.tensor([70.0, 50, 70, 50])), atol=1e-3
    )
    for (_, _, mask), row in zip(ours, shown, strict=True):
        assert (mask.segmentation != masks[row].numpy()).mean() < 1e-3


def test_sam3_is_a_detector_like_the_others(folders, photo, model):
    result = em.find(photo, WORDS, model, detector=str(folders["sam3"]), threshold=0.0)
    assert {mask.label for mask in result} <= set(WORDS)
    assert {mask.attributes["detector"] for mask in result} == {"sam3"}
    scores = [mask.attributes["score"] for mask in result]
    assert scores == sorted(scores, reverse=True)
    assert len(em.find(photo, "dog", model, detector=str(folders["sam3"]), threshold=1.0)) == 0
    detector = Sam3(folders["sam3"])
    best = [max(each.score for each in detector.detect(photo, [word], 0.0)) for word in WORDS]
    detector.detect(photo, WORDS, 1.0)
    assert list(detector.highest) == pytest.approx(best)
    with pytest.raises(PromptError, match="longer than the 32 tokens"):
        em.find(photo, "dogs " * 40, model, detector=str(folders["sam3"]))


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 7, 5),
        (1.3, 0.7, 4.9, 3.1),
        (-0.5, -0.2, 0.3, 0.4),
        (2, 2, 2.2, 2.1),
        (6.5, 4.5, 8, 6),
        (-3, -3, 9, 9),
    ],
)
def test_boxes_are_pooled_as_mask_r_cnn_defines_it(box):
    """Sample by sample, as torchvision documents its default; the package itself has no build for here."""
    features = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    size, (channels, height, width) = 3, features.shape

    def sample(y, x):
        if not (-1 <= y <= height and -1 <= x <= width):
            return np.zeros(channels)
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = int(y), int(x)
        down, right = min(top + 1, height - 1), min(left + 1, width - 1)
        upper = features[:, top, left] * (1 - x + left) + features[:, top, right] * (x - left)
        lower = features[:, down, left] * (1 - x + left) + features[:, down, right] * (x - left)
        return upper * (1 - y + top) + lower * (y - top)

    x0, y0, x1, y1 = box
    cell_h, cell_w = max(y1 - y0, 1) / size, max(x1 - x0, 1) / size
    rows, columns = int(np.ceil(cell_h)), int(np.ceil(cell_w))
    expected = np.zeros((channels, size, size))
    for i in range(size):
        for j in range(size):
            ys = [y0 + cell_h * (i + (k + 0.5) / rows) for k in range(rows)]
            xs = [x0 + cell_w * (j + (k + 0.5) / columns) for k in range(columns)]
            expected[:, i, j] = np.mean([sample(y, x) for y in ys for x in xs], axis=0)
    found = roi_align(torch.from_numpy(features)[None], [torch.tensor([box], dtype=torch.float32)], size)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_sam3_finds_more_of_what_boxes_show(folders, photo, model):
    detector = Sam3(folders["sam3"])
    pixels = detector.prepare(photo)
    tokens = detector.tokenizer("dog", padding="max_length", max_length=32, return_tensors="pt")
    with torch.inference_mode():
        answer = detector.model(
            pixel_values=pixels,
            **tokens,
            input_boxes=torch.tensor([[[0.25, 0.5, 0.5, 1.0], [0.9, 0.9, 0.2, 0.2]]]),
            input_boxes_labels=torch.tensor([[1, 0]]),
        )
        scores = answer.pred_logits[0].sigmoid() * answer.presence_logits[0].sigmoid()
    boxes = {"like": [(0, 0, 35, 50)], "unlike": [(56, 40, 70, 50)]}
    sam3 = str(folders["sam3"])
    theirs = sorted(scores[(answer.pred_masks[0] > 0).any(-1).any(-1)].tolist(), reverse=True)
    ours = em.find(photo, "dog", model, detector=sam3, threshold=0.0, **boxes)
    assert ours[0].attributes["score"] == pytest.approx(theirs[0], abs=1e-3)
    assert ours[0].label == "dog"
    alone = em.find(photo, model=model, detector=sam3, threshold=0.0, like=boxes["like"])
    assert {mask.label for mask in alone} == {None}
    scored = [[mask.attributes["score"] for mask in each] for each in (ours, alone)]
    assert scored[0] != scored[1]


@pytest.mark.parametrize(
    ("boxes", "error", "said"),
    [
        ([(0, 0, 80, 20)], PromptError, "within the photo, 70 x 50, got 0,0,80,20"),
        ([(5, 5, 5, 9)], PromptError, "must be a box"),
        ([(5, 5)], PromptError, "must be lists of boxes"),
        (["a"], PromptError, "must be lists of boxes"),
    ],
)
def test_exemplars_that_are_no_boxes_of_the_photo_are_refused(folders, photo, model, boxes, error, said):
    with pytest.raises(error, match=said):
        em.find(photo, model=model, detector=str(folders["sam3"]), like=boxes)


def test_exemplars_are_for_sam3_alone(folders, photo, model):
    for detector in ("lite", str(folders["owl"])):
        with pytest.raises(OptionError, match="like and unlike are for SAM 3 alone"):
            em.find(photo, "dog", model, detector=detector, like=[(0, 0, 10, 10)])


def test_words_that_no_token_fits_are_told(folders, photo):
    detector = Grounding(folders["grounding"])
    with pytest.raises(PromptError, match="longer than the 32 tokens"):
        detector.passes(["dog " * 40])


@pytest.fixture
def served(folders, tmp_path, monkeypatch):
    """A mirror that holds llmdet_tiny, and an empty cache."""
    shutil.copytree(folders["mm"], tmp_path / "mirror" / "llmdet_tiny")
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    return tmp_path


def test_weights_come_by_our_own_download_and_are_remembered(served, model, photo):
    assert detector_name(None) == "lite"
    detector = open_detector("llmdet_tiny", model)
    assert detector.name == "llmdet_tiny"
    assert detector_name(None) == "llmdet_tiny"  # what is here is the default
    folder = HOSTED["llmdet_tiny"].folder
    weights = (folder / "model.safetensors").read_bytes()
    noted = (folder / "model.safetensors.sha256").read_text()
    assert noted.startswith(hashlib.sha256(weights).hexdigest())
    shutil.rmtree(served / "mirror")
    assert pull_set(HOSTED["llmdet_tiny"]) == folder
    assert em.find(photo, "dog", model, threshold=1.0).photo_hw == (50, 70)


def test_missing_weights_network_extra_and_wrong_folders_are_one_line(
    served, model, folders, monkeypatch, tmp_path
):
    with pytest.raises(DownloadError, match="owlv2_base"):
        open_detector("owlv2_base", model)
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    with pytest.raises(OfflineError, match="llmdet_tiny is not in the cache"):
        open_detector("llmdet_tiny", model)
    with pytest.raises(OptionError, match="detector must be one of lite, llmdet_tiny"):
        open_detector("magic", model)
    with pytest.raises(OptionError, match="points_per_side: for the detector lite alone"):
        open_detector(str(folders["owl"]), model, None, {"points_per_side": 4})
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not say which model"):
        open_detector(str(wrong), model)
    (wrong / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="holds a 'bert' model"):
        open_detector(str(wrong), model)
    (wrong / "config.json").write_text(json.dumps({"model_type": "owlv2"}))
    with pytest.raises(CheckpointError, match="is no detector that transformers opens"):
        open_detector(str(wrong), model)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[text\]'"):
        open_detector("llmdet_tiny", model)


def test_every_detector_names_its_licence():
    assert DETECTORS[0] == "lite"
    assert all(each.licence == "Apache-2.0" and each.size_bytes > 10**8 for each in HOSTED.values())
