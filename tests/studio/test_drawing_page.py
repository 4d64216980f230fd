"""What is drawn in a real Chromium: panning paints nothing, and all ways to a view end in the same pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.harness import Studio, running
from tests.studio.page import Page
from tests.studio.scene import BOX, DISK, make_folder, scene

COUNT_PAINTING = """
window.painted = 0;
for (const name of ["drawImage", "putImageData", "fillRect"]) {
  const original = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...values) {
    window.painted++;
    return original.apply(this, values);
  };
}
0;
"""


DEFAULT_LOOK = "opacity: 0.45, outlines: false, isolate: false, checker: false"


@pytest.fixture
def large_studio(tmp_path: Path, model: Any) -> Iterator[Studio]:
    """A photo of four tiles a side at its actual size, with masks."""
    folder = tmp_path / "large"
    folder.mkdir()
    Image.fromarray(scene()).resize((2048, 1536), Image.Resampling.BICUBIC).save(folder / "a.png")
    with running(folder, model) as studio:
        for x, y in ((300, 300), (900, 700), (1500, 900), (1800, 1400)):
            studio.act(1, type="brush", points=[[x, y], [x + 200, y + 60]], radius=70)
        yield studio


def opened(browser: Any, studio: Studio, **context: Any) -> Page:
    page = Page(browser, studio, **context)
    page.until("state.photo.masks.size === " + str(len(studio.masks(1))))
    return page


def set_state(page: Page, change: str) -> None:
    page.tab.evaluate(f"import('/web/core/store.js').then((store) => store.set({change}))")


def shown(page: Page) -> np.ndarray:
    """The middle of the stage as it is on the screen, once nothing changes any more: RGB."""
    page.until("document.querySelectorAll('.level').length === 4")  # no tiles of a former scale are left
    box = page.tab.locator("#stage").bounding_box()
    clip = {"x": box["x"] + 20, "y": box["y"] + 60, "width": box["width"] - 40, "height": box["height"] - 120}
    before = None
    for _ in range(100):
        data = page.tab.screenshot(clip=clip)
        if data == before:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        before = data
        page.tab.wait_for_timeout(150)
    raise AssertionError("the page never stood still")


def test_panning_moves_what_is_painted_and_paints_nothing(browser: Any, studio: Studio):
    studio.act(1, type="brush", points=[[DISK[0], DISK[1]], [BOX[0], BOX[1]]], radius=20)
    page = opened(browser, studio)
    page.tab.evaluate(COUNT_PAINTING)
    page.tab.keyboard.press("h")
    page.until("state.tool === 'hand'")
    x, y = page.at(100, 100)
    page.tab.mouse.move(x, y)
    page.until("state.pointed === 1")
    before = shown(page)
    page.tab.evaluate("window.painted = 0")
    page.tab.mouse.down()
    page.tab.mouse.move(x + 64, y + 32, steps=6)
    page.tab.mouse.up()
    after = shown(page)
    assert page.tab.evaluate("window.painted") == 0
    assert (after[32:, 64:] == before[:-32, :-64]).all()
    assert (after[:, :64] != before[:, :64]).any()
    assert page.troubles == []


@pytest.mark.parametrize("pixels", [1, 2])
def test_every_way_to_a_view_ends_in_the_same_pixels(browser: Any, large_studio: Studio, pixels: int):
    wandered = opened(browser, large_studio, device_scale_factor=pixels)
    wandered.tab.mouse.move(500, 400)
    for turn in (-300, 200, -500, 300, -400):  # in and out, then across half of the photo
        wandered.tab.mouse.wheel(0, turn)
        wandered.tab.wait_for_timeout(40)
    set_state(wandered, "{ selected: new Set([2, 3]), tool: 'hand' }")
    for _ in range(4):
        wandered.tab.mouse.move(800, 600)
        wandered.tab.mouse.down()
        wandered.tab.mouse.move(560, 480, steps=5)
        wandered.tab.mouse.up()
    camera = wandered.tab.evaluate(
        "import('/web/core/store.js').then((store) => JSON.stringify(store.get().camera))"
    )
    straight = opened(browser, large_studio, device_scale_factor=pixels)
    set_state(straight, f"{{ selected: new Set([2, 3]), tool: 'hand', camera: {camera} }}")
    seen, expected = shown(wandered), shown(straight)
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 100  # there is something to see
    assert (seen == expected).all()
    wandered.shot(f"wandered-{pixels}")
    for page in (wandered, straight):
        assert page.troubles == []
        page.context.close()


def test_masks_outlines_board_and_opacity_are_drawn_where_they_lie(browser: Any, large_studio: Studio):
    page = opened(browser, large_studio)
    set_state(page, "{ camera: { scale: 1, x: 600, y: 450 } }")
    inside, outside = page.at(1000, 730), page.at(1000, 900)  # in the second mask, and under it

    def colours(look: str) -> list[tuple[int, ...]]:
        set_state(page, f"{{ look: {{ {DEFAULT_LOOK}, {look} }} }}")
        shown(page)
        picture = Image.open(io.BytesIO(page.tab.screenshot())).convert("RGB")
        return [picture.getpixel((round(x), round(y))) for x, y in (inside, outside)]

    shown(page)
    half, bare = colours("opacity: 0.45"), colours("opacity: 0")
    assert half[0] != bare[0]
    assert half[1] == bare[1]
    assert colours("outlines: true")[0] == bare[0]
    board = colours("checker: true")
    assert board[0] == bare[0]  # what a mask holds is the photo
    assert board[1] in ((56, 60, 68), (43, 46, 52))
    page.shot("board")
    assert page.troubles == []


def test_of_a_long_list_only_what_is_in_sight_is_there(browser: Any, studio: Studio):
    corners = [(x, y) for y in range(0, 40, 4) for x in range(0, 80, 4)]
    version = studio.get("/api/photos/1")["version"]
    for x, y in corners:
        ring = [[x, y], [x + 3, y], [x + 3, y + 3], [x, y + 3]]
        body = {"version": version, "action": {"type": "polygon", "rings": [ring]}}
        version = studio.client.post("/api/photos/1/actions", json=body).json()["version"]
    page = opened(browser, studio)
    rows = page.tab.locator(".mask")
    assert 10 < rows.count() < 60
    rows.first.click()
    page.until("state.selected.has(1)")
    page.tab.get_by_role("listbox", name="Masks").focus()
    page.tab.keyboard.press("End")
    page.until("state.selected.has(200)")
    page.tab.locator("[data-mask='200']").wait_for()
    assert page.tab.locator("[data-mask='200']").get_attribute("aria-selected") == "true"
    assert page.tab.locator("[data-mask='1']").count() == 0
    page.tab.locator("[data-mask='199']").click(modifiers=["Control"])
    page.until("state.selected.size === 2")
    page.tab.locator("[data-mask='190']").hover()
    page.tab.mouse.wheel(0, -100_000)
    page.tab.locator("[data-mask='1']").click(modifiers=["Shift"])
    page.until("state.selected.size === 199")  # from the first to the one before the last
    page.shot("long-list")
    assert page.troubles == []


def test_of_a_long_folder_the_open_photo_is_in_sight(browser: Any, tmp_path: Path, model: Any):
    folder = make_folder(tmp_path / "many", tuple(f"{number:03}.png" for number in range(150)))
    with running(folder, model) as studio:
        page = Page(browser, studio)
        frames = page.tab.locator(".frame")
        assert 5 < frames.count() < 60
        page.tab.evaluate("import('/web/core/desk.js').then((desk) => desk.open(120))")
        page.until("state.photo?.id === 120")
        chosen = page.tab.locator(".frame[aria-selected=true][aria-label^='119.png']")
        chosen.wait_for()
        box = chosen.bounding_box()
        assert 0 < box["x"] < 1000
        assert page.troubles == []


def test_brush_size_and_soft_edge_are_set_without_wheel_and_keys(browser: Any, studio: Studio):
    for x in (60, 160):
        studio.act(1, type="brush", points=[[x, 60]], radius=20)
    page = opened(browser, studio)
    size = page.tab.get_by_role("slider", name="Size of the brush")
    assert not size.is_visible()
    page.tab.keyboard.press("b")
    box = size.bounding_box()
    page.tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.until("state.brush > 30 && state.brush < 70")  # the middle between 1 and 2000, by factors
    page.tab.keyboard.press("[")
    page.tab.keyboard.press("[")
    radius = page.state("state.brush")
    page.until(f"Math.abs(2 ** document.querySelector('.brush-size input').value / {radius} - 1) < 0.06")
    page.shot("brush-size")
    page.tab.locator("[data-mask='1']").click()
    page.tab.locator("[data-mask='2']").click(button="right")  # a long press, on a phone
    page.until("state.selected.size === 2")
    page.tab.get_by_label("Soft edge in cut-outs, in pixels").fill("4")
    page.press("Enter")
    page.press(";")
    assert [mask["attributes"] for mask in studio.masks(1)] == [{"feather_px": 5}] * 2
    assert "soft 5 px" in page.tab.locator("[data-mask='1']").inner_text()
    page.press("Control+z")
    assert page.state("state.photo.masks.get(2).attributes.feather_px") == 4
    page.shot("soft-edge")
    page.context.close()
    assert page.troubles == []


def test_corners_of_a_polygon_that_is_being_drawn_are_undone_one_by_one(browser: Any, studio: Studio):
    page = Page(browser, studio)
    page.click(*DISK[:2])
    page.press("Enter")
    page.tab.keyboard.press("g")
    for corner in ((200, 20), (300, 20), (300, 50)):
        page.tab.mouse.click(*page.at(*corner))
    page.until("state.ring.length === 3")
    page.tab.keyboard.press("Control+z")
    page.tab.keyboard.press("Control+z")
    page.until("state.ring.length === 1")
    assert len(studio.masks(1)) == 1  # what was done before stays
    page.tab.keyboard.press("Control+Shift+Z")
    page.until("state.ring.length === 2")
    page.tab.mouse.click(*page.at(200, 50))  # another way: what was taken back is gone
    page.until("state.ring.length === 3")
    page.press("Enter")
    x, y, width, height = studio.masks(1)[1]["bbox"]
    assert (x, y, x + width, y + height) == pytest.approx((200, 20, 300, 50), abs=5)  # its tip is thin
    assert studio.masks(1)[1]["area"] == pytest.approx(100 * 30 / 2, rel=0.05)
    page.context.close()
    assert page.troubles == []
