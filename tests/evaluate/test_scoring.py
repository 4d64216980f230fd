"""Scoring a model: what goes in is found, and a model that knows the answer scores 1."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

import everymask as em
from everymask.errors import InputError
from everymask.evaluate.clicked import correction, score_clicks
from everymask.evaluate.data import Annotated, annotated_photos
from everymask.evaluate.everything import score_everything
from everymask.evaluate.metrics import borders
from everymask.evaluate.prompted import score_prompts
from everymask.geometry import Squash
from everymask.masks import rle
from everymask.maskset import Mask, MaskSet
from everymask.nn.records import Decoded

HALVES = np.repeat(np.array([[1] * 20 + [2] * 12], np.int32), 24, axis=0)


DRAWN = MaskSet([Mask.from_segmentation(n == HALVES) for n in (1, 2)])


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
    assert [len(p.annotators) for p in photos] == [2, 2]
    assert [region.tolist() for region in photos[0].regions()] == 2 * [(n == HALVES).tolist() for n in (1, 2)]
    assert [edges.tolist() for edges in photos[0].borders()] == 2 * [borders(HALVES).tolist()]


def test_masks_of_any_format_and_none_for_0(tmp_path):
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(tmp_path / "a.png")
    left = Mask.from_segmentation(HALVES == 1)
    speck = np.zeros((24, 32), bool)
    speck[0, :3] = True
    MaskSet([left, Mask.from_segmentation(speck)]).save(tmp_path / "coco.json", format="coco", photo="a.png")
    (photo,) = annotated_photos(tmp_path, masks=tmp_path / "coco.json")
    assert [region.sum() for region in photo.regions()] == [480]
    assert [region.sum() for region in photo.regions(0)] == [480, 3]
    Image.fromarray(np.where(HALVES == 1, 7, 0).astype(np.uint8)).save(tmp_path / "a_0.png")
    (photo,) = annotated_photos(tmp_path)
    assert [region.sum() for region in photo.regions()] == [480], "0 is no region"


def test_masks_that_cannot_be_used_are_no_silent_loss(folder):
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(folder / "a_1.png")
    with pytest.raises(
        InputError, match=r"masks of 1 photos cannot be used: a\.jpg: its masks are for \(9, 9\)"
    ):
        list(annotated_photos(folder))


def test_fewer_photos_and_annotators_on_request(folder):
    photos = list(annotated_photos(folder, limit=1, annotators=1))
    assert [(p.name, len(p.annotators)) for p in photos] == [("a", 1)]


def test_a_folder_without_photos_or_without_masks_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no photo in"):
        list(annotated_photos(tmp_path))
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"has no NAME\.json, NAME\.png or NAME_0\.png"):
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
    scores = score_prompts(KnowsHalves(), [Annotated("a", np.zeros((24, 32, 3), np.uint8), (DRAWN,))])
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
    photo = Annotated("a", np.zeros((24, 32, 3), np.uint8), (DRAWN,))
    scores = score_everything(Returns([HALVES == 1]), [photo])
    assert scores.abo == pytest.approx(0.5)
    assert scores.coverage == pytest.approx(20 / 32)
    assert scores.edge_f == pytest.approx(1.0)
    assert scores.masks_per_photo == 1


def test_everything_mode_that_finds_nothing_scores_nothing():
    photo = Annotated("a", np.zeros((24, 32, 3), np.uint8), (DRAWN,))
    scores = score_everything(Returns([]), [photo])
    assert (scores.abo, scores.coverage, scores.edge_f) == (0, 0, 0)


def test_the_next_click_goes_where_the_mask_is_most_wrong():
    region = np.zeros((20, 20), bool)
    region[2:12, 2:12] = True
    assert correction(np.zeros_like(region), region).include
    mask = region.copy()
    mask[14:20, 3:9] = True  # 6 x 6 too much, at the picture's edge
    mask[2:4, 2:4] = False  # 2 x 2 missing
    click = correction(mask, region)
    assert not click.include
    assert mask[int(click.y), int(click.x)]
    assert not region[int(click.y), int(click.x)]


def test_clicks_of_nano_on_a_plain_square_come_near_it():
    photo = np.full((96, 128, 3), 60, np.uint8)
    photo[20:70, 30:90] = (210, 60, 60)
    truth = (photo != 60).any(axis=2)
    example = Annotated("square", photo, (MaskSet([Mask.from_segmentation(truth)]),))
    scores = score_clicks(em.load("nano"), [example], clicks=3)
    assert len(scores.one_by_one) == len(scores.at_once) == 3
    assert scores.one_by_one[0] == scores.at_once[0], "the first click is the same call"
    assert scores.one_by_one[-1] > 0.9
    assert scores.clicks_to_80 <= 2
    assert 0 <= scores.disobeyed <= 1
