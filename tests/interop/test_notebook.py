"""What a notebook shows, and what a MaskSet remembers of its photo."""

import gc
import pickle
import re

import numpy as np
import pytest
from PIL import Image

import everymask as em
from everymask.errors import InputError, OptionError
from everymask.image import Answer
from everymask.maskset import Mask, MaskSet
from everymask.video.result import TrackedFrame

HOLLOW = np.zeros((6, 8), bool)
HOLLOW[1:5, 2:7] = True
HOLLOW[2, 3] = False


def test_masks_remember_a_path_through_filters_and_pickling(tmp_path):
    masks = MaskSet([Mask.from_segmentation(HOLLOW)], photo=tmp_path / "a.png")
    for other in (masks[:1], masks.filter(min_area=1), masks.sorted_by("area"), masks + masks[:0]):
        assert other.photo == tmp_path / "a.png"
    assert pickle.loads(pickle.dumps(masks)).photo == tmp_path / "a.png"


def test_masks_do_not_keep_an_array_alive():
    photo = np.zeros((6, 8, 3), np.uint8)
    masks = MaskSet([Mask.from_segmentation(HOLLOW)], photo=photo)
    assert masks.photo is photo
    assert pickle.loads(pickle.dumps(masks)).photo is None
    del photo
    gc.collect()
    assert masks.photo is None
    with pytest.raises(InputError, match=r"pass it, masks\.draw\(photo\)"):
        masks.draw()


def test_drawing_takes_the_remembered_photo_or_a_path(tmp_path):
    photo = np.full((6, 8, 3), 100, np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    masks = MaskSet([Mask.from_segmentation(HOLLOW)], photo=tmp_path / "a.png")
    expected = em.draw_overlay(photo, masks)
    np.testing.assert_array_equal(masks.draw(), expected)
    np.testing.assert_array_equal(masks.draw(str(tmp_path / "a.png")), expected)


def test_sum_joins_masks_of_one_size_only():
    one = MaskSet([Mask.from_segmentation(HOLLOW, label="a")])
    assert [mask.label for mask in one + MaskSet([Mask.from_segmentation(~HOLLOW, label="b")])] == ["a", "b"]
    with pytest.raises(InputError, match=r"these are of \(6, 8\) \(height, width\), the others of \(2, 2\)"):
        one + MaskSet([], (2, 2))
    with pytest.raises(TypeError):
        one + 1


def test_polygon_is_the_outline_of_the_largest_piece():
    two = HOLLOW.copy()
    two[0, 0] = True
    assert Mask.from_segmentation(two).polygon().tolist() == [[2, 1], [7, 1], [7, 5], [2, 5]]
    assert Mask.from_segmentation(np.zeros((3, 3))).polygon().shape == (0, 2)
    with pytest.raises(OptionError, match="tolerance must be at least 0 pixels, got -1"):
        Mask.from_segmentation(two).polygon(-1)


def test_tolerance_drops_corners_of_a_staircase():
    stairs = Mask.from_segmentation(np.tri(20, dtype=bool))
    exact, simple = stairs.polygon(), stairs.polygon(1.5)
    assert len(exact) == 42
    assert len(simple) <= 5


def test_cutout_is_as_large_as_the_object_and_transparent_in_its_holes():
    cut = Mask.from_segmentation(HOLLOW).cutout(np.full((6, 8, 3), 9, np.uint8))
    assert cut.shape == (4, 5, 4)
    assert cut[1, 1].tolist() == [0, 0, 0, 0]
    assert cut[0, 0].tolist() == [9, 9, 9, 255]


def shown_size(html: str) -> tuple[int, int]:
    width, height = re.search(r'width="(\d+)" height="(\d+)"', html).groups()
    return int(width), int(height)


def test_mask_set_shows_its_photo_with_masks_in_a_self_contained_figure():
    photo = np.full((600, 1280, 3), 200, np.uint8)
    pixels = np.zeros((600, 1280), bool)
    pixels[100:200, 100:300] = True
    html = MaskSet([Mask.from_segmentation(pixels)], photo=photo)._repr_html_()
    assert shown_size(html) == (640, 300)
    assert 'src="data:image/png;base64,' in html
    assert "http" not in html
    assert "MaskSet(1 mask of a 1280 x 600 photo)" in html


def test_photo_that_is_gone_or_of_another_size_is_grey(tmp_path):
    masks = MaskSet([], (6, 8), photo=tmp_path / "gone.png")
    assert masks._repr_html_() == MaskSet([], (6, 8))._repr_html_()
    assert MaskSet([], (6, 8), photo=np.zeros((5, 5, 3), np.uint8))._repr_html_() == masks._repr_html_()


def test_label_is_escaped():
    html = Mask.from_segmentation(HOLLOW, label="<b>cat")._repr_html_()
    assert "&lt;b&gt;cat" in html
    assert "<b>" not in html


def test_answer_shows_its_candidates_side_by_side_with_scores():
    answer = Answer(np.stack([HOLLOW] * 3), np.array([0.9, 0.5, 0.25]), np.zeros((3, 4, 4)))
    html = answer._repr_html_()
    assert "scores 1: 0.900, 2: 0.500, 3: 0.250" in html
    assert shown_size(html) == (8 * 3 + 8 * 2, 6)
    many = Answer(np.stack([[HOLLOW]] * 2), np.ones((2, 1)), np.zeros((2, 1, 4, 4)))
    assert "MaskSet(2 masks" in many._repr_html_()


def test_tracked_frame_shows_its_objects():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(np.where(HOLLOW, 1.0, -1.0), dtype=torch.float32)[None, None]
    frame = TrackedFrame(3, (7,), (6, 8), logits, np.ones(1, np.float32), np.ones(1, np.float32))
    assert "TrackedFrame(index=3, objects: 7)" in frame._repr_html_()


@pytest.fixture(scope="module")
def model():
    return em.load("nano", device="cpu")


def test_findings_show_their_masks_over_the_photo(model, tmp_path):
    photo = np.full((48, 64, 3), 90, np.uint8)
    photo[10:30, 20:50] = (200, 60, 30)
    findings = em.AutomaticMaskGenerator(model, points_per_side=3).explore(photo)
    html = findings._repr_html_()
    assert shown_size(html) == (64, 48)
    assert f"{findings!r} with {findings.masks()!r}" in html
    findings.save(tmp_path / "a.findings")
    assert shown_size(em.Findings.load(tmp_path / "a.findings")._repr_html_()) == (64, 48)


def test_what_holds_models_photos_and_features_is_one_short_line(model):
    photo = np.zeros((48, 64, 3), np.uint8)
    assert repr(em.AutomaticMaskGenerator(model)) == "AutomaticMaskGenerator(nano)"
    generator = em.AutomaticMaskGenerator(model, points_per_side=2, crop_n_layers=1)
    assert repr(generator) == "AutomaticMaskGenerator(nano, points_per_side=2, crop_n_layers=1)"
    predictor = em.ImagePredictor(model)
    assert repr(predictor) == "ImagePredictor(nano, no photo set)"
    predictor.set_image(photo)
    assert repr(predictor) == "ImagePredictor(nano, a 64 x 48 photo)"
    assert len(repr(predictor.photos[0])) < 160
    clicks = em.ClickSession(predictor)
    assert shown_size(clicks._repr_html_()) == (64, 48), "also before the first click"
    assert repr(clicks.click(30, 20)).startswith("Answer(1 mask of a 64 x 48 photo, scores ")
    told = repr(em.compare(photo, model, points_per_side=[1, 2]))
    assert told == "Comparison(2 settings of points_per_side on a 64 x 48 photo)"


def test_model_is_one_line():
    text = repr(em.load("nano", device="cpu"))
    assert re.fullmatch(r"Sam2\('nano', \d+ px, \d+\.\d million parameters, float32 on cpu\)", text)


def test_public_names_are_all_that_dir_shows():
    assert dir(em) == sorted(em.__all__)


def test_bar_is_shown_for_true_and_a_function_is_called(capsys):
    generator = em.AutomaticMaskGenerator(em.load("nano", device="cpu"), points_per_side=2)
    photo = np.zeros((32, 32, 3), np.uint8)
    states = []
    generator.generate(photo, progress=states.append)
    assert states[-1].points_done == states[-1].points == 4
    generator.generate(photo, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
