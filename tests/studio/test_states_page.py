"""What the page shows when something is not there: a photo, a class, the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fakes import FakeModel
from tests.studio.harness import running
from tests.studio.page import Page
from tests.studio.scene import make_folder

PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


def test_a_photo_that_cannot_be_read_says_why_in_its_place(browser: Any, tmp_path: Path):
    folder = make_folder(tmp_path / "photos")
    (folder / "b.png").write_bytes(b"this is no picture")
    with running(folder, FakeModel("sam2")) as studio:
        page = Page(browser, studio)
        page.tab.keyboard.press("n")
        page.tab.get_by_role("heading", name="b.png cannot be shown").wait_for()
        assert page.tab.locator(".why-not").inner_text() != ""
        assert page.tab.locator(".name").inner_text() == "b.png"
        page.shot("unreadable")
        page.tab.keyboard.press("n")
        page.until("state.photo?.name === 'c.jpg'")
        page.tab.locator("#empty").wait_for(state="hidden")
        page.tab.keyboard.press("p")
        page.tab.get_by_role("heading", name="b.png cannot be shown").wait_for()
        page.tab.keyboard.press("p")
        page.until("state.photo?.name === 'a.jpg'")
        page.context.close()
    assert [each for each in page.troubles if "422" not in each] == []  # Chromium tells of each refusal


def test_a_phone_says_that_the_server_is_away(browser: Any, tmp_path: Path):
    with running(make_folder(tmp_path / "photos"), FakeModel("sam2")) as studio:
        page = Page(browser, studio, **PHONE)
        assert not page.tab.get_by_text("Server away").is_visible()
    page.tab.get_by_text("Server away").wait_for(state="visible")
    page.context.close()


def test_a_class_is_renamed_in_the_list_and_undone_with_the_done_mark(browser: Any, tmp_path: Path):
    with running(make_folder(tmp_path / "photos"), FakeModel("sam2")) as studio:
        studio.act(1, type="brush", points=[[60, 60]], radius=20, label="dgo")
        studio.act(2, type="brush", points=[[60, 60]], radius=20, label="dgo")
        page = Page(browser, studio)
        page.tab.locator(".frame").nth(0).click()
        page.until("state.photo.name === 'a.jpg'")
        other = Page(browser, studio)  # another tab, on another photo
        other.tab.locator(".frame").nth(1).click()
        other.until("state.photo.name === 'b.png'")
        page.tab.locator(".chip", has_text="dgo").click()
        page.until("state.activeClass === 'dgo'")
        page.tab.locator(".chip", has_text="dgo").hover()
        page.tab.get_by_role("button", name="Rename the class dgo").click()
        page.tab.get_by_label("New name of the class dgo").fill("dog")
        page.shot("rename")
        page.tab.keyboard.press("Enter")
        page.until("state.classes[0].name === 'dog' && state.activeClass === 'dog'")
        assert page.state("[...state.photo.masks.values()][0].label") == "dog"
        other.until("state.classes[0].name === 'dog' && [...state.photo.masks.values()][0].label === 'dog'")
        page.tab.keyboard.press("d")
        page.until("state.photo.name === 'b.png'")
        assert [row["done"] for row in studio.get("/api/session")["photos"]] == [True, False, False]
        page.tab.locator(".frame").nth(0).click()
        page.until("state.photo.name === 'a.jpg' && state.photos[0].done")
        page.press("Control+z")
        assert page.state("state.photos[0].done") is False
        page.press("Control+z")
        page.until("state.classes[0].name === 'dgo' && state.activeClass === 'dgo'")
        other.until("[...state.photo.masks.values()][0].label === 'dgo'")
        assert [mask["label"] for mask in studio.masks(2)] == ["dgo"]
        other.context.close()
        page.context.close()
    assert page.troubles == other.troubles == []


def test_classes_are_taken_off_the_list_and_masks_keep_their_names(browser: Any, tmp_path: Path):
    with running(make_folder(tmp_path / "photos"), FakeModel("sam2")) as studio:
        studio.act(1, type="brush", points=[[60, 60]], radius=20, label="cat")
        studio.act(1, type="brush", points=[[160, 60]], radius=20, label="dgo")
        page = Page(browser, studio)
        page.tab.locator(".chip", has_text="dgo").hover()
        page.tab.get_by_role("button", name="Take the class dgo off the list").click()
        page.until("state.classes.length === 1")
        page.told("1 mask keeps the name dgo.")
        assert [each["name"] for each in studio.get("/api/session")["classes"]] == ["cat"]
        assert [mask["label"] for mask in studio.masks(1)] == ["cat", "dgo"]
        page.context.close()
    assert page.troubles == []
