"""A session of clicks: each is asked with all earlier ones and the last answer, and can be undone."""

import numpy as np
import pytest

from everymask.errors import OptionError, PromptError, SessionError
from everymask.image import Answer, Click, ClickSession, ImagePredictor
from tests.fakes import FakeModel
from tests.test_image import noise, photo, tiny_model


class Recorder(ImagePredictor):
    """A predictor that notes what it is asked, and answers with masks given beforehand."""

    def __init__(self, answers):
        super().__init__(FakeModel("sam2"))
        self.answers, self.asked = list(answers), []
        self.set_image(photo(4, 6))

    def alone(self, image=None):
        return self

    def predict(self, points=None, labels=None, box=None, mask=None, multimask=True, **other):
        self.asked.append((points, labels, box, mask, multimask))
        return self.answers.pop(0)


def an_answer(*columns, scores=None, hw=(4, 6)):
    """One mask for each number: the photo's columns from 0 up to it. Its logits hold the number."""
    masks = np.zeros((len(columns), *hw), bool)
    logits = np.zeros((len(columns), 2, 2), np.float32)
    for index, column in enumerate(columns):
        masks[index, :, :column] = True
        logits[index] = column
    return Answer(masks, np.array(scores or [0.5] * len(columns), np.float32), logits)


def test_each_click_is_asked_with_all_earlier_ones_and_the_last_logits():
    predictor = Recorder([an_answer(2, 3, 4, scores=[0.1, 0.9, 0.3]), an_answer(6), an_answer(5)])
    session = ClickSession(predictor)
    session.click(1, 1)
    session.click(4, 2)
    session.click(5, 0, include=False)
    first, second, third = predictor.asked
    assert first == ([(1, 1)], [1], None, None, True)
    assert second[:2] == ([(1, 1), (4, 2)], [1, 1])
    assert not second[4]
    assert (second[3] == 3).all(), "the logits of the mask with the highest score"
    assert third[:2] == ([(1, 1), (4, 2), (5, 0)], [1, 1, 0])
    assert (third[3] == 6).all()
    assert session.mask.sum(axis=1).tolist() == [5, 5, 5, 5]


def test_a_session_answers_as_predict_does_with_the_logits_fed_back():
    predictor = ImagePredictor(tiny_model("sam2"))
    predictor.set_image(noise(60, 80))
    session = ClickSession(predictor)
    first = session.click(30, 20)
    assert (first.logits == predictor.predict(points=[(30, 20)]).logits[session._now.chosen]).all()
    second = predictor.predict([(30, 20), (50, 40)], [1, 0], mask=first.logits[0], multimask=False)
    assert (session.click(50, 40, include=False).logits == second.logits).all()


def test_of_three_candidates_one_that_holds_the_click_comes_before_a_higher_score():
    session = ClickSession(Recorder([an_answer(2, 3, 6, scores=[0.9, 0.2, 0.3])]))
    answer = session.click(4, 1)
    assert answer.scores.tolist() == pytest.approx([0.3])
    assert session.disobeyed == ()


def test_a_click_that_no_mask_obeys_is_told():
    predictor = Recorder([an_answer(2, 3, 4), an_answer(1), an_answer(0)])
    session = ClickSession(predictor)
    session.click(1, 0)
    assert session.disobeyed == ()
    session.click(5, 0)
    assert (predictor.asked[2][3] == 1).all(), "asked once more with the logits of the answer"
    assert session.mask.sum() == 4, "which obeyed no more clicks, so the first answer stays"
    assert session.disobeyed == (Click(1, 0), Click(5, 0))
    assert repr(session) == "ClickSession(6 x 4 photo, 2 clicks, score 0.500, 2 disobeyed)"


def test_a_second_answer_that_obeys_more_clicks_is_taken():
    session = ClickSession(Recorder([an_answer(2, 3, 4), an_answer(1), an_answer(5)]))
    session.replay([(1, 0), (4, 0)])
    assert session.mask.sum() == 20
    assert session.disobeyed == ()


def test_undo_gives_the_earlier_answer_back_without_asking():
    predictor = Recorder([an_answer(2, 3, 4), an_answer(5)])
    session = ClickSession(predictor)
    first = session.click(1, 1)
    session.click(4, 1)
    undone = session.undo()
    assert (undone.masks == first.masks).all()
    assert session.clicks == (Click(1, 1),)
    assert session.undo() is None
    assert session.answer is None
    assert len(predictor.asked) == 2
    with pytest.raises(SessionError, match="nothing to undo"):
        session.undo()


def test_another_candidate_can_be_chosen_and_is_what_the_next_click_corrects():
    predictor = Recorder([an_answer(2, 3, 4), an_answer(5)])
    session = ClickSession(predictor)
    session.click(1, 1)
    assert session.choose(2).masks.sum() == 16
    session.click(4, 1)
    assert (predictor.asked[1][3] == 4).all()
    session.undo()
    session.undo()
    assert session.mask.sum() == 8, "the choice is undone as well"
    with pytest.raises(OptionError, match="one of the 3 candidates"):
        session.choose(3)


def test_a_box_and_a_rough_mask_are_corrected_by_clicks():
    predictor = Recorder([an_answer(2), an_answer(3), an_answer(4), an_answer(5)])
    session = ClickSession(predictor)
    rough = np.ones((4, 6), bool)
    session.start_from(rough)
    session.box(0, 0, 3, 3)
    session.click(2, 1)
    assert predictor.asked[0][3] is rough
    assert not predictor.asked[0][4]
    assert predictor.asked[1][2] == (0, 0, 3, 3)
    assert (predictor.asked[1][3] == 2).all()
    assert predictor.asked[2][2] == (0, 0, 3, 3)
    assert not predictor.asked[2][4]
    with pytest.raises(SessionError, match="comes before"):
        session.start_from(rough)
    session.reset()
    assert session.answer is None
    assert not session.mask.any()
    session.start_from(rough)


def test_a_rough_mask_and_a_box_may_come_together():
    predictor = Recorder([an_answer(2)])
    ClickSession(predictor).start_from(np.ones((4, 6), bool), (0, 0, 3, 3))
    assert predictor.asked[0][2] == (0, 0, 3, 3)
    assert not predictor.asked[0][4]


def test_alternatives_are_asked_with_what_the_answer_was_asked_with():
    predictor = Recorder([an_answer(2, 3, 4), an_answer(5), an_answer(1, 2, 3)])
    session = ClickSession(predictor)
    with pytest.raises(SessionError, match="click first"):
        session.alternatives()
    session.replay([(1, 1), (4, 2)])
    assert len(session.alternatives().scores) == 3
    single, several = predictor.asked[1:]
    assert several[:2] == single[:2]
    assert (several[3] == single[3]).all()
    assert (single[4], several[4]) == (False, True)
    assert session.mask.sum() == 20


def test_a_wrong_click_changes_nothing():
    predictor = ImagePredictor(FakeModel("sam2"))
    predictor.set_image(photo())
    session = ClickSession(predictor)
    session.click(30, 20)
    with pytest.raises(PromptError, match="outside the picture"):
        session.replay([(31, 21), (500, 20)])
    assert session.clicks == (Click(30, 20),)
    with pytest.raises(OptionError, match="at least one click"):
        ClickSession(predictor).replay([])


def test_a_session_keeps_its_photo_when_another_one_is_set():
    predictor = ImagePredictor(FakeModel("sam"))
    with pytest.raises(SessionError, match="no photo is set"):
        ClickSession(predictor)
    predictor.set_images([photo(20, 30), photo(48, 64)])
    session = ClickSession(predictor, image=1)
    predictor.set_image(photo(10, 10))
    assert session.click(60, 40).masks.shape == (1, 48, 64)
    assert session.photo_hw == (48, 64)


def test_a_click_between_pixels_counts_for_the_nearest():
    mask = np.array([[True, False, False]])
    assert Click(0.4, 0).is_obeyed_by(mask)
    assert not Click(0.6, 0).is_obeyed_by(mask)
    assert Click(3, 0, include=False).is_obeyed_by(mask), "the photo's very edge is its last pixel"


def test_masks_of_another_size_are_answered_and_obeyed_in_the_photos_pixels():
    predictor = Recorder([an_answer(2, scores=[0.9], hw=(2, 3)), an_answer(4)])
    session = ClickSession(predictor, masks_hw=(2, 3))
    assert session.mask.shape == (2, 3)
    session.click(3, 1)  # of the photo's six columns: within the small mask's two of three
    assert session.disobeyed == ()
    assert session.chosen == 0
    assert session.mask.shape == (2, 3)
    assert session.of_size().masks.shape == (1, 4, 6)
    assert predictor.asked[0][:4] == predictor.asked[1][:4]
    assert Click(5, 0).is_obeyed_by(session.mask, (4, 6)) is False
