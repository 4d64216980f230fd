"""Scoring a model: what goes in is found, and a model that knows the answer scores 1."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from everymask.errors import InputError
from everymask.evaluate.data import Annotated, annotated_photos
from everymask.evaluate.everything import score_everything
from everymask.evaluate.prompted import score_prompts
from everymask.geometry import Squash
from everymask.masks import rle
from everymask.maskset import Mask, MaskSet
from everymask.nn.records import Decoded

HALVES = np.repeat(np.array([[1] * 20 + [2] * 12], np.int32), 24, axis=0)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b_1"):
        Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(tmp_path / f"{name}.jpg")
        for annotator in range(2):
            Image.fromarray(HALVES.astype(np.uint16)).save(tmp_path / f"{name}_{annotator}.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "alone.jpg")
    return tmp_path


def test_photos_come_with_all_their_annotators(folder):
    photos = list(annotated_photos(folder))
    assert [p.name for p in photos] == ["a", "b_1"]
    assert [len(p.label_maps) for p in photos] == [2, 2]
    np.testing.assert_array_equal(photos[0].label_maps[0], HALVES)


def test_fewer_photos_and_annotators_on_request(folder):
    photos = list(annotated_photos(folder, limit=1, annotators=1))
    assert [(p.name, len(p.label_maps)) for p in photos] == [("a", 1)]


def test_a_folder_without_masks_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"NAME_0\.png"):
        list(annotated_photos(tmp_path))


class KnowsHalves:
    """Stands for a model: the half that a click or box lies in; its second mask is right, and it knows."""

    mask_threshold = 0.0

    def frame(self, photo_hw):
        return Squash(photo_hw, 64)

    def preprocess(self, photo):
        return torch.zeros(3, 64, 64)

    def encode_image(self, pixels):
        return None

    def arrange(self, points, labels, boxes):
        return points if boxes is None else boxes.reshape(-1, 2, 2).mean(1, keepdim=True), labels

    def encode_prompts(self, points, labels):
        return points

    def decode(self, features, points):
        left = torch.zeros(16, 16)
        left[:, :10] = 1
        right = 1 - left
        truth = torch.stack([left if x < 40 else right for x in points[:, 0, 0]])
        masks = torch.stack([truth, torch.ones_like(truth), truth, torch.zeros_like(truth)], 1)
        return Decoded(masks * 20 - 10, torch.tensor([[0.9, 0.5, 0.9, 0.1]]).expand(len(points), -1), masks)

    def choose(self, decoded, multimask):
        return Decoded(decoded.mask_logits[:, :1], decoded.iou[:, :1], decoded.mask_tokens[:, :1])


def test_a_model_that_knows_scores_one():
    scores = score_prompts(KnowsHalves(), [Annotated("a", np.zeros((24, 32, 3), np.uint8), (HALVES,))])
    assert scores.regions == 2
    assert scores.click_best == pytest.approx(1.0)
    assert scores.click_top == pytest.approx(1.0)
    assert scores.click_single == pytest.approx(1.0)
    assert scores.box_iou == pytest.approx(1.0)
    assert scores.rank_correlation > 0.9


@dataclass
class Returns:
    """Stands for the automatic mask generator."""

    masks: list[np.ndarray]

    def generate(self, photo):
        return MaskSet([Mask(rle.encode(m), predicted_iou=0.9) for m in self.masks], photo.shape[:2])


def test_everything_mode_that_finds_one_half_scores_half():
    photo = Annotated("a", np.zeros((24, 32, 3), np.uint8), (HALVES,))
    scores = score_everything(Returns([HALVES == 1]), [photo])
    assert scores.abo == pytest.approx(0.5)
    assert scores.coverage == pytest.approx(20 / 32)
    assert scores.edge_f == pytest.approx(1.0)
    assert scores.masks_per_photo == 1


def test_everything_mode_that_finds_nothing_scores_nothing():
    photo = Annotated("a", np.zeros((24, 32, 3), np.uint8), (HALVES,))
    scores = score_everything(Returns([]), [photo])
    assert (scores.abo, scores.coverage, scores.edge_f) == (0, 0, 0)
