"""What a gesture means is settled when it is made, also while the server has not answered the one before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import everymask as em
from tests.studio.clip_scene import box_at, disc_at, write_clip
from tests.studio.harness import Studio, running
from tests.studio.page import Page
from tests.studio.scene import BOX, DISK

HOLD_ANSWERS = """() => {
  window.holding = true;
  if (window.held) return;
  window.held = [];
  const plain = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await plain(...asked);
    if (window.holding && /actions$/.test(String(asked[0]))) await new Promise((go) => window.held.push(go));
    return answer;
  };
}"""
"""The server's answers to actions lie still while ``window.holding``."""

LET_GO = "() => { window.holding = false; for (const go of window.held.splice(0)) go(); }"


class Late(Page):
    """A page whose answers come when the test says so."""

    def hold(self) -> None:
        """From now on no answer arrives."""
        self.tab.evaluate(HOLD_ANSWERS)

    def is_held(self, count: int = 1) -> None:
        """Wait until so many answers lie there."""
        self.until(f"window.held.length >= {count}")

    def let_go(self) -> None:
        """All of them arrive, and those that follow, until all is done."""
        self.tab.evaluate(LET_GO)
        settled = "import('/web/core/desk.js').then((desk) => desk.idle())"
        for _ in range(3):  # what was asked meanwhile may ask again
            self.tab.evaluate(settled)
        self.until("state.busy === 0")

    def stroke(self, *points: tuple[float, float]) -> None:
        """Paint, and wait for nothing."""
        self.tab.mouse.move(*self.at(*points[0]))
        self.tab.mouse.down()
        for point in points[1:]:
            self.tab.mouse.move(*self.at(*point))
        self.tab.mouse.up()


@pytest.fixture
def page(browser: Any, studio: Studio) -> Iterator[Late]:
    page = Late(browser, studio)
    yield page
    page.context.close()
    assert page.troubles == []


def test_enter_right_after_a_click_accepts_what_the_click_meant(page: Late, studio: Studio):
    page.hold()
    page.tab.mouse.click(*page.at(*DISK[:2]))
    page.is_held()
    page.tab.keyboard.press("Enter")
    page.let_go()
    (mask,) = studio.masks(1)
    assert page.state("[...state.selected]") == [mask["id"]]
    page.hold()
    page.tab.mouse.click(*page.at(BOX[0] + 20, BOX[1] + 20))
    page.is_held()
    page.tab.keyboard.press("Escape")
    page.let_go()
    assert page.state("state.photo.draft") is None
    assert len(studio.masks(1)) == 1


def test_a_second_stroke_goes_on_with_the_mask_of_the_first(page: Late, studio: Studio):
    page.tab.keyboard.press("b")
    page.hold()
    page.stroke((30, 30), (60, 30))
    page.is_held()
    page.stroke((30, 60), (60, 60))
    # A third one is under way when the answers arrive: it stays in the hand.
    page.tab.mouse.move(*page.at(30, 90))
    page.tab.mouse.down()
    page.let_go()
    page.tab.mouse.move(*page.at(60, 90))
    page.tab.mouse.up()
    page.until("state.busy === 0 && state.strokes.length === 0 && state.stroke === null")
    (mask,) = studio.masks(1)
    pixels = em.Mask({"size": [240, 320], "counts": mask["counts"]}).segmentation
    assert pixels[[30, 60, 90], [45, 45, 45]].all()


def test_a_late_answer_does_not_take_the_selection_away(page: Late, studio: Studio):
    studio.act(1, type="polygon", rings=[[[200, 20], [300, 20], [300, 50]]])
    page.until("state.photo.masks.size === 1")
    page.tab.keyboard.press("b")
    page.hold()
    page.stroke((30, 30), (60, 30))
    page.is_held()
    page.tab.locator("[data-mask='1']").click()
    page.let_go()
    assert page.state("[...state.selected]") == [1]
    assert len(studio.masks(1)) == 2


def test_keys_that_move_and_take_away_count_each(page: Late, studio: Studio):
    for left in (20, 120, 220):
        studio.act(1, type="polygon", rings=[[[left, 20], [left + 60, 20], [left + 60, 60]]])
    page.until("state.photo.masks.size === 3")
    page.tab.locator("[data-mask='1']").click()
    page.hold()
    page.tab.keyboard.press("Alt+ArrowDown")
    page.is_held()
    page.tab.keyboard.press("Alt+ArrowDown")
    page.let_go()
    assert [mask["id"] for mask in studio.masks(1)] == [2, 3, 1]
    page.tab.keyboard.press("Escape")
    for x, y in ((DISK[0], DISK[1]), (DISK[0] + 30, DISK[1])):
        page.click(x, y)
    page.hold()
    page.tab.mouse.click(*page.at(DISK[0], DISK[1]))  # takes the first point away
    page.is_held()
    page.tab.mouse.click(*page.at(DISK[0] + 30, DISK[1]))  # and the second, which is the first by now
    page.let_go()
    assert page.state("state.photo.draft") is None


def test_two_corners_that_are_moved_one_after_the_other_both_stay_moved(page: Late, studio: Studio):
    studio.act(1, type="polygon", rings=[[[40, 40], [200, 40], [200, 180], [40, 180]]])
    page.until("state.photo.masks.size === 1")
    page.tab.locator("[data-mask='1']").click()
    page.tab.keyboard.press("g")
    page.until("state.outline?.rings[0].length === 4")
    page.hold()
    page.stroke((199.5, 39.5), (230, 30), (250, 20))
    page.is_held()
    page.stroke((39.5, 179.5), (30, 200), (20, 220))
    page.let_go()
    (mask,) = studio.masks(1)
    x, y, width, height = mask["bbox"]
    assert max(x, y) <= 22
    assert x + width >= 247
    assert y + height >= 217


def test_next_pressed_twice_goes_on_by_two_photos(page: Late, studio: Studio):
    page.tab.keyboard.press("n")
    page.tab.keyboard.press("n")
    page.until("state.photo.name === 'c.jpg'")


def test_what_was_done_on_a_photo_stays_there_when_another_is_opened(page: Late, studio: Studio):
    page.hold()
    page.tab.evaluate(
        """import('/web/core/desk.js').then((desk) => {
          document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }));
          desk.act({ type: 'polygon', rings: [[[20, 20], [80, 20], [80, 80]]] });
        })"""
    )
    page.until("state.photo.name === 'b.png'")
    page.let_go()
    assert page.state("state.photo.masks.size") == len(studio.masks(2)) == 0
    assert page.state("state.photo.version") == 0
    assert len(studio.masks(1)) == 1
    page.until("state.photos[0].masks === 1")


def test_clicks_in_a_clip_are_about_one_object_until_another_is_asked_for(
    browser: Any, tmp_path: Path, model: em.PromptableModel
):
    write_clip(tmp_path / "run.mp4", 4)
    with running(tmp_path, model) as studio:
        page = Late(browser, studio)
        page.until("state.clip?.length === 4")
        x, y, _ = disc_at(0)
        page.hold()
        page.tab.mouse.click(*page.at(x, y))
        page.is_held()
        page.tab.mouse.click(*page.at(x + 6, y))
        page.let_go()
        assert page.state("[...state.clip.objects.keys()]") == [1]
        assert page.state("state.clip.prompts.get('0/1').length") == 2
        assert page.state("[...state.selected]") == [1]
        page.tab.keyboard.press("u")
        page.hold()
        left, top, right, bottom = box_at(0)
        page.tab.mouse.click(*page.at((left + right) // 2, (top + bottom) // 2))
        page.is_held()
        page.tab.keyboard.press("u")  # the next click is another one again
        page.tab.mouse.click(*page.at(x, y))
        page.let_go()
        assert page.state("[...state.clip.objects.keys()]") == [1, 2, 3]
        page.context.close()
        assert page.troubles == []
