"""Keys belong to the photo: whatever was clicked before, and whatever a person bound anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.studio.harness import Studio, running
from tests.studio.page import Page
from tests.studio.scene import BOX, DISK


@pytest.fixture
def page(browser: Any, studio: Studio) -> Iterator[Page]:
    page = Page(browser, studio)
    yield page
    page.context.close()
    assert page.troubles == []


def is_panned(page: Page) -> bool:
    """Whether the photo goes along with the mouse while the space bar is held, and nothing else happens."""
    before, version = page.state("state.camera"), page.state("state.photo.version")
    x, y = page.at(20, 20)
    page.tab.mouse.move(x, y)
    page.tab.keyboard.down(" ")
    page.tab.mouse.down()
    page.tab.mouse.move(x + 40, y + 10, steps=3)
    page.tab.mouse.up()
    page.tab.keyboard.up(" ")
    after = page.state("state.camera")
    moved = (before["x"] - after["x"]) * after["scale"], (before["y"] - after["y"]) * after["scale"]
    assert page.state("state.photo.version") == version
    assert page.state("state.rubber") is None
    return moved == pytest.approx((40, 10))


def test_space_moves_the_photo_whatever_was_clicked_before(page: Page, studio: Studio):
    studio.act(1, type="brush", points=[[60, 60]], radius=20)
    page.until("state.photo.masks.size === 1")
    page.tab.locator(".mask").click()
    assert is_panned(page)
    assert page.state("[...state.selected]") == [1]
    page.tab.get_by_role("button", name="Click and box").click()
    assert is_panned(page)
    page.tab.get_by_role("tab", name="View").click()
    page.tab.get_by_role("slider", name="Opacity", exact=True).click()
    assert is_panned(page)
    # With keys alone it presses what they came to.
    page.tab.get_by_role("tab", name="Masks").focus()
    page.tab.keyboard.press(" ")
    page.until("state.panel === 'masks'")


def test_enter_accepts_after_an_answer_was_clicked(page: Page, studio: Studio):
    page.click(*DISK[:2])
    chosen = page.state("state.photo.reply.chosen")
    page.tab.locator(".answer").nth(chosen).click()  # the one that is taken already
    page.press("Enter")
    assert len(studio.masks(1)) == 1
    page.press("r")
    page.click(*DISK[:2])
    page.tab.locator(".mask").click()
    page.press("Enter")
    assert page.state("state.photo.draft") is None


def test_a_field_is_left_by_escape_and_by_an_empty_enter(page: Page, studio: Studio):
    page.click(*DISK[:2])
    page.tab.keyboard.press("Shift+L")
    page.tab.keyboard.type("cup")
    page.tab.keyboard.press("Enter")
    page.until("state.activeClass === 'cup'")
    page.press("Enter")  # nothing is typed: it accepts
    assert [mask["label"] for mask in studio.masks(1)] == ["cup"]
    page.tab.get_by_label("Name of a new class").click()
    page.tab.keyboard.type("bo")
    page.tab.keyboard.press("Escape")
    page.tab.keyboard.press("b")
    page.until("state.tool === 'brush'")
    page.tab.get_by_role("tab", name="View").click()
    page.tab.keyboard.press("/")
    page.tab.keyboard.type("dog")  # at once: no letter of it is a command
    assert page.tab.get_by_role("searchbox").input_value() == "dog"
    assert page.state("[state.tool, state.photo.name]") == ["brush", "a.jpg"]
    page.tab.keyboard.press("Escape")
    page.tab.keyboard.press("c")
    page.until("state.tool === 'click'")


def test_keys_that_are_bound_anew_work_and_are_shown(page: Page):
    brush = page.tab.get_by_role("button", name="Brush", exact=True)
    assert brush.get_attribute("title") == "Brush (B)"
    for command, key in (("Brush", "q"), ("Eraser", "5")):
        page.tab.keyboard.press("?")
        page.tab.get_by_label(f"Key for: {command}").click()
        page.tab.keyboard.press(key)
        page.tab.keyboard.press("Escape")
    assert brush.get_attribute("title") == "Brush (Q)"
    page.tab.keyboard.press("b")
    page.tab.keyboard.press("q")
    page.until("state.tool === 'brush'")
    page.tab.keyboard.press("5")
    page.until("state.tool === 'erase'")
    page.tab.reload()
    page.ready()
    assert brush.get_attribute("title") == "Brush (Q)"
    page.tab.keyboard.press("?")
    page.tab.get_by_role("button", name="Reset all").click()
    page.tab.keyboard.press("Escape")
    assert brush.get_attribute("title") == "Brush (B)"
    page.tab.keyboard.press("b")
    page.until("state.tool === 'brush'")


def test_pointing_and_selecting_in_the_photo_show_the_row_of_the_list(page: Page, studio: Studio):
    version = studio.get("/api/photos/1")["version"]
    for number in range(40):
        x, y = 4 * (number % 10), 4 * (number // 10)
        action = {"type": "polygon", "rings": [[[x, y], [x + 3, y], [x + 3, y + 3], [x, y + 3]]]}
        body = {"version": version, "action": action}
        version = studio.client.post("/api/photos/1/actions", json=body).json()["version"]
    last = studio.act(1, type="brush", points=[[BOX[0], BOX[1]]], radius=20)
    assert last["patch"]["masks"].keys() == {"41"}
    page.until("state.photo.masks.size === 41")
    page.tab.mouse.move(*page.at(BOX[0], BOX[1]))
    page.until("document.querySelector('.mask.pointed')?.dataset.mask === '41'")
    assert page.state("state.tool") == "click"
    page.tab.keyboard.press("v")
    page.tab.mouse.click(*page.at(BOX[0], BOX[1]))
    page.until("state.selected.has(41)")
    row = page.tab.locator("[data-mask='41']")
    list_box = page.tab.locator("#panel-masks").bounding_box()
    page.tab.wait_for_timeout(100)
    box = row.bounding_box()
    assert list_box["y"] <= box["y"] <= list_box["y"] + list_box["height"] - box["height"] + 1


def test_pages_of_a_tiff_are_turned_by_keys_and_in_the_panel(browser: Any, tmp_path: Path, model: Any):
    pages = [Image.new("RGB", (80, 60), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with running(tmp_path, model) as studio:
        page = Page(browser, studio)
        page.tab.keyboard.press("Alt+PageDown")
        page.until("state.photo.view.page === 1 && state.photo.encoded")
        page.tab.keyboard.press("Shift+V")
        field = page.tab.get_by_label("Page", exact=True)
        page.until("document.querySelector('[aria-label=Page]').value === '2'")
        page.tab.get_by_text("of 3").wait_for()
        page.tab.keyboard.press("Alt+PageUp")
        page.until("state.photo.view.page === 0 && document.querySelector('[aria-label=Page]').value === '1'")
        field.fill("9")
        page.tab.keyboard.press("Enter")  # there are three
        page.until("state.photo.view.page === 2 && document.querySelector('[aria-label=Page]').value === '3'")
        page.tab.keyboard.press("Alt+PageDown")
        page.tab.wait_for_timeout(200)
        assert page.state("[state.photo.view.page, state.photo.name]") == [2, "stack.tif"]
        page.context.close()
    assert page.troubles == []
