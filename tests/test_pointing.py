"""One point after the other: the mask and score of ``predict``, on a photo that is prepared once."""

import numpy as np
import pytest
import torch

from everymask.errors import PromptError, SessionError
from everymask.image import ImagePredictor
from everymask.image import pointing as pointing_module
from everymask.image.pointing import Pointing
from tests.fakes import FakeModel
from tests.test_image import FAMILIES, noise, photo, tiny_model

SHOWN_HW = (30, 40)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", ["small", "prepared", "touched"])
def test_mask_and_score_are_those_of_the_best_of_predict(family, case, monkeypatch):
    if case != "small":
        monkeypatch.setattr(pointing_module, "WORTH_PREPARING", 1)
    model = tiny_model(family).requires_grad_(False)
    if case == "touched":  # a hook is to see every part run as it was written
        model.decoder.register_forward_hook(lambda *_: None)
    predictor = ImagePredictor(model)
    predictor.set_image(noise(60, 80))
    pointing = Pointing(predictor)
    assert (pointing._decoder is not None) == (case == "prepared")
    for xy in ((3, 5), (40.5, 30.25), (79, 59)):
        mask, score = pointing.best(xy, SHOWN_HW)
        expected = predictor.predict(points=[xy], masks_hw=SHOWN_HW).best()
        assert (mask.shape, mask.dtype) == (SHOWN_HW, bool)
        assert np.count_nonzero(mask != expected.masks[0]) <= 1
        assert score == pytest.approx(float(expected.scores[0]), abs=1e-5)


def test_photo_that_is_set_later_is_not_seen():
    predictor = ImagePredictor(FakeModel("sam2"))
    predictor.set_image(photo())
    pointing = Pointing(predictor)
    before = pointing.best((30, 20), SHOWN_HW)
    predictor.set_image(noise(90, 40))
    assert (pointing.best((30, 20), SHOWN_HW)[0] == before[0]).all()


def test_pixels_without_data_are_left_out_and_refused():
    predictor = ImagePredictor(FakeModel("sam2"))
    valid = np.ones((48, 64), bool)
    valid[:, 32:] = False
    predictor.set_image(photo(), valid=valid)
    pointing = Pointing(predictor)
    mask, _ = pointing.best((30, 20), (48, 64))
    assert mask[:, :32].any()
    assert not mask[:, 32:].any()
    with pytest.raises(PromptError, match="no data"):
        pointing.best((40, 20), (48, 64))


def test_points_outside_and_predictors_without_a_photo_are_refused():
    predictor = ImagePredictor(FakeModel("sam2"))
    with pytest.raises(SessionError, match="no photo is set"):
        Pointing(predictor)
    predictor.set_image(photo())
    with pytest.raises(PromptError, match="outside"):
        Pointing(predictor).best((70, 20), SHOWN_HW)


def test_nothing_is_kept_for_gradients():
    model = tiny_model("sam2")
    predictor = ImagePredictor(model)
    predictor.set_image(noise(60, 80))
    assert torch.is_grad_enabled()
    assert Pointing(predictor).best((3, 5), SHOWN_HW)[0].shape == SHOWN_HW
