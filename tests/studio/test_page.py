"""The page in a real Chromium: what a person does with mouse, keys and fingers, and what is kept of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import everymask as em
from everymask.everything.presets import Preset
from everymask.masks import rle
from tests.studio.harness import Studio, running
from tests.studio.page import Page, serious_faults
from tests.studio.scene import BOX, DISK, make_folder


@pytest.fixture
def page(browser: Any, studio: Studio) -> Iterator[Page]:
    page = Page(browser, studio)
    yield page
    page.context.close()
    assert page.troubles == []
    assert page.foreign == []


def pixels(mask: dict[str, Any]) -> np.ndarray:
    return rle.decode(rle.from_coco({"size": [240, 320], "counts": mask["counts"]}))


def test_hover_click_exclude_box_answers_accept_and_undo(page: Page, studio: Studio):
    page.tab.mouse.move(*page.at(*DISK[:2]))
    page.until("state.hover !== null")
    page.click(*DISK[:2])
    assert page.state("state.photo.reply.candidates.length") == 3
    chosen = page.state("state.photo.reply.chosen")
    page.press("Tab")
    assert page.state("state.photo.reply.chosen") == (chosen + 1) % 3
    other = (chosen + 2) % 3  # neither the first choice nor the present one
    page.press(str(other + 1))
    assert page.state("state.photo.reply.chosen") == other
    page.click(DISK[0], DISK[1] + 20)
    page.click(5, 5, button="right")
    page.tab.keyboard.down("Alt")
    page.click(310, 230)
    page.tab.keyboard.up("Alt")
    steps = studio.get("/api/photos/1")["document"]["draft"]["steps"]
    assert [step["include"] for step in steps] == [True, True, False, False]
    page.click(310, 230)  # on the point itself: it goes
    assert page.state("state.photo.draft.steps.length") == 3
    page.press("Enter")
    (mask,) = studio.masks(1)
    assert mask["points"][0] == pytest.approx(DISK[:2], abs=2)
    page.press("Control+z")
    assert page.state("state.photo.draft.steps.length") == 3
    assert studio.masks(1) == []
    page.press("Control+Shift+Z")
    assert [each["counts"] for each in studio.masks(1)] == [mask["counts"]]
    page.drag((BOX[0] - 5, BOX[1] - 5), (BOX[2] + 5, BOX[3] + 5))
    box = page.state("state.photo.draft.steps[0]")
    assert box["kind"] == "box"
    assert box["xy"] == pytest.approx([BOX[0] - 5, BOX[1] - 5, BOX[2] + 5, BOX[3] + 5], abs=1)
    page.press("Escape")
    assert page.state("state.photo.draft") is None
    assert len(studio.masks(1)) == 1


def test_what_is_accepted_is_what_predict_gives(page: Page, studio: Studio, model):
    page.click(*DISK[:2])
    steps = page.state("state.photo.draft.steps")
    page.press("Enter")
    predictor = em.ImagePredictor(model)
    predictor.set_image(studio.folder / "a.jpg")
    answer = predictor.predict(points=[steps[0]["xy"]], labels=[1])
    assert (pixels(studio.masks(1)[0]) == answer.best().masks[0]).all()


def test_brush_eraser_and_polygon_change_the_selected_mask(page: Page, studio: Studio):
    page.tab.keyboard.press("b")
    page.drag((100, 60), (180, 60))
    (painted,) = studio.masks(1)
    assert pixels(painted)[60, 100:181].all()
    page.tab.mouse.wheel(0, 240)
    page.until("state.brush < 12")
    page.tab.keyboard.press("e")
    page.drag((140, 30), (140, 90))
    erased = pixels(studio.masks(1)[0])
    assert not erased[60, 140]
    assert erased[60, 105]
    page.shot("brush")
    page.tab.keyboard.press("g")
    for corner in ((20, 150), (60, 150), (60, 200)):
        page.tab.mouse.click(*page.at(*corner))
    page.press("Enter")
    triangle = pixels(studio.masks(1)[1])
    assert triangle[160, 55]
    assert not triangle[190, 25]
    before = page.state("state.photo.version")
    for corner in ((220, 150), (260, 150), (260, 200), (220, 150)):  # the first one again
        page.tab.mouse.click(*page.at(*corner))
    page.until(f"state.photo.version > {before} && state.busy === 0 && state.ring.length === 0")
    assert pixels(studio.masks(1)[2])[160, 255]


def test_corners_of_a_mask_are_moved_added_and_taken_away(page: Page, studio: Studio):
    square = [[40, 40], [140, 40], [140, 140], [40, 140]]
    studio.act(1, type="polygon", rings=[square])
    page.until("state.photo.masks.size === 1")
    page.tab.locator(".mask").click()
    page.tab.keyboard.press("g")
    page.until("state.outline?.rings[0].length === 4")
    page.drag((139.5, 139.5), (199.5, 179.5))
    moved = pixels(studio.masks(1)[0])
    assert moved[160, 170]
    page.until("state.outline?.rings.length === 1 && state.busy === 0")
    page.shot("corners")
    page.drag((89.5, 39.5), (89.5, 9.5))  # an edge: a new corner
    assert pixels(studio.masks(1)[0])[20, 90]
    page.press("Control+z", "Control+z")
    page.until("state.busy === 0 && state.outline?.rings[0].every(([x]) => x < 150)")  # those of the square
    page.click(139.5, 139.5, button="right")
    assert pixels(studio.masks(1)[0]).sum() == pytest.approx(100 * 100 / 2, rel=0.02)


def test_list_selects_labels_merges_and_deletes(page: Page, studio: Studio):
    for x in (60, 160, 260):
        studio.act(1, type="brush", points=[[x, 120]], radius=20)
    page.until("state.photo.masks.size === 3")
    page.tab.fill("[aria-label='Name of a new class']", "cell")
    page.tab.keyboard.press("Enter")
    page.until("state.classes.length === 1")
    rows = page.tab.locator(".mask")
    rows.nth(0).click()
    rows.nth(1).click(modifiers=["Shift"])
    page.press("1")
    assert [mask["label"] for mask in studio.masks(1)] == ["cell", "cell", None]
    rows.nth(2).hover()
    page.until("state.pointed === 3")
    page.press("m")
    assert len(studio.masks(1)) == 2
    rows.nth(1).click()
    page.press("Delete")
    assert [mask["label"] for mask in studio.masks(1)] == ["cell"]


def test_a_folder_is_worked_through_and_kept(page: Page, studio: Studio):
    page.click(*DISK[:2])
    page.press("Enter")
    page.tab.keyboard.press("d")
    page.until("state.photo.name === 'b.png'")
    assert [row["done"] for row in studio.get("/api/session")["photos"]] == [True, False, False]
    page.tab.keyboard.press("Shift+N")
    page.until("state.photo.name === 'c.jpg'")
    page.tab.reload()
    page.until("state.photo?.name === 'c.jpg'")
    page.tab.locator(".frame").nth(0).click()
    page.until("state.photo.name === 'a.jpg' && state.photo.masks.size === 1")


def test_export_tells_losses_and_the_file_reads_back(page: Page, studio: Studio, tmp_path):
    ring = [[[20, 20], [120, 20], [120, 120], [20, 120]], [[50, 50], [90, 50], [90, 90], [50, 90]]]
    studio.act(1, type="polygon", rings=ring, label="frame")
    page.until("state.photo.masks.size === 1")
    page.tab.keyboard.press("Control+e")
    page.tab.locator("label.format", has_text="yolo").click()
    page.tab.get_by_text("Cut-outs").click()
    page.tab.get_by_label("YOLO outlines").select_option("largest")
    page.tab.get_by_role("button", name="Prepare files").click()
    page.tab.locator(".losses").wait_for()
    assert "yolo 1 mask had holes filled" in page.tab.locator(".losses").inner_text()
    with page.tab.expect_download() as download:
        page.tab.get_by_role("link", name="Download").click()
    archive = zipfile.ZipFile(download.value.path())
    names = set(archive.namelist())
    assert {
        "coco.json",
        "yolo/data.yaml",
        "yolo/images/a.jpg",
        "yolo/labels/a.txt",
        "cutouts/a/1.png",
    } <= names
    archive.extract("coco.json", tmp_path)
    (mask,) = em.read_masks(tmp_path / "coco.json")
    assert mask.area == 100 * 100 - 40 * 40
    assert mask.label == "frame"
    from PIL import Image

    piece = np.asarray(Image.open(io.BytesIO(archive.read("cutouts/a/1.png"))))
    assert piece.shape == (100, 100, 4)
    assert sorted({0, 255} & set(piece[..., 3].ravel().tolist())) == [0, 255]


def test_everything_mode_runs_and_its_sliders_need_no_model(page: Page, studio: Studio, model):
    page.tab.get_by_role("tab", name="Everything").click()
    page.tab.get_by_role("radio", name="Quick").click()
    page.tab.get_by_role("button", name="Find everything").last.click()
    page.until("state.findings?.choice.numbers.length > 0")
    generator = em.AutomaticMaskGenerator(model, points_per_side=16)
    photo = em.read_photo(studio.folder / "a.jpg")
    default = generator.generate(photo)
    assert page.state("state.findings.choice.numbers.length") == len(default)
    page.until("state.findings.histograms !== null")
    slide(page, "Predicted IoU above", 0.0)
    page.until("state.findings.choice.thresholds.pred_iou_thresh === 0")
    lower = em.AutomaticMaskGenerator(model, points_per_side=16, pred_iou_thresh=0.0).generate(photo)
    assert page.state("state.findings.choice.numbers.length") == len(lower)
    written = "import('/web/panels/findings.js').then((f) => f.asCommand(state))"
    assert "--points_per_side 16 --pred-iou-thresh 0".replace("_", "-") in page.state(written)
    page.tab.get_by_role("button", name="Compare").click()
    slide(page, "Predicted IoU above", 1.0)
    page.until("state.findings.choice.numbers.length === 0")
    page.tab.mouse.click(*page.at(*DISK[:2]))  # a bare place now
    page.until("state.findings.why !== null")
    reasons = page.state("state.findings.why.reasons.map((each) => each.rule)")
    assert "pred_iou_thresh" in reasons
    page.shot("why")
    page.tab.locator(".reason button").first.click()
    page.until("state.findings.choice.numbers.length > 0")
    page.tab.get_by_role("button", name="Compare").click()
    page.tab.mouse.click(*page.at(*DISK[:2]))
    page.until("state.findings.thrown.size === 1")
    page.tab.keyboard.press("Control+z")
    page.until("state.findings.thrown.size === 0")
    page.tab.keyboard.press("Control+Shift+z")
    page.until("state.findings.thrown.size === 1")
    kept = page.state("state.findings.choice.numbers.length") - 1
    page.tab.get_by_role("button", name="Defaults").click()
    page.until("state.findings.thrown.size === 0")
    assert kept >= 0
    page.until("Object.keys(state.findings.choice.thresholds).length === 0")
    page.tab.keyboard.press("Control+z")  # the defaults are a step too
    page.until("state.findings.thrown.size === 1 && 'pred_iou_thresh' in state.findings.choice.thresholds")
    page.tab.keyboard.press("Control+Shift+z")
    page.until("Object.keys(state.findings.choice.thresholds).length === 0")
    page.tab.get_by_role("button", name="Keep").click()
    page.until("state.photo.masks.size > 0")
    assert [pixels(mask).sum() for mask in studio.masks(1)] == default.areas.tolist()
    page.press("Control+z")
    assert studio.masks(1) == []


def slide(page: Page, label: str, value: float) -> None:
    """Move a slider as a hand does, with all its events."""
    script = "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }"
    page.tab.get_by_role("slider", name=label).evaluate(script, value)


def test_options_of_a_file_are_a_preset_that_is_chosen_already(browser, tmp_path: Path, model):
    own = {"tuned.toml": Preset("the options in tuned.toml", {"points_per_side": 4, "pred_iou_thresh": 0.0})}
    with running(make_folder(tmp_path / "photos"), model, presets=own) as studio:
        page = Page(browser, studio)
        page.tab.get_by_role("tab", name="Everything").click()
        assert page.state("state.preset") == "tuned.toml"
        assert page.tab.get_by_text("the options in tuned.toml").is_visible()
        page.tab.get_by_role("button", name="Find everything").last.click()
        page.until("state.findings?.choice.numbers.length > 0")
        options = {"points_per_side": 4, "pred_iou_thresh": 0.0}
        assert page.state("state.findings.options") == options
        generator = em.AutomaticMaskGenerator(model, **options)
        found = generator.generate(em.read_photo(studio.folder / "a.jpg"))
        assert page.state("state.findings.choice.numbers.length") == len(found)
        page.context.close()
    assert page.troubles == []


def test_a_run_of_everything_can_be_stopped(page: Page, studio: Studio):
    job = studio.client.post("/api/photos/1/everything", json={"crop_n_layers": 2}).json()["id"]
    assert studio.client.delete(f"/api/jobs/{job}").status_code == 200
    for _ in range(600):
        state = studio.get(f"/api/jobs/{job}")
        if state["state"] != "running":
            break
        page.tab.wait_for_timeout(50)
    assert state["state"] == "cancelled"
    answer = studio.client.post(f"/api/jobs/{job}/masks", json={})
    assert answer.status_code == 422
    assert "is cancelled" in answer.json()["error"]
    wrong = studio.client.post("/api/photos/1/everything", json={"points_per_sied": 3})
    assert "did you mean points_per_side" in wrong.json()["error"]


def test_accessibility_has_no_serious_fault(browser: Any, studio: Studio):
    studio.act(1, type="polygon", rings=[[[20, 20], [120, 20], [120, 120]]], label="thing")
    page = Page(browser, studio, bypass_csp=True)
    assert serious_faults(page) == []
    page.click(*DISK[:2])
    assert serious_faults(page) == []
    for tab in ("Everything", "View"):
        page.tab.get_by_role("tab", name=tab).click()
        assert serious_faults(page) == []
    page.tab.keyboard.press("Control+e")
    assert serious_faults(page) == []
    page.tab.keyboard.press("Escape")
    page.tab.keyboard.press("?")
    assert serious_faults(page) == []
    page.context.close()


def test_two_tabs_see_each_other_and_lose_nothing(page: Page, browser: Any, studio: Studio):
    other = Page(browser, studio)
    page.click(*DISK[:2])
    page.press("Enter")
    other.until("state.photo.masks.size === 1")
    # What comes too late is refused and told, not done over the other's head.
    script = "(store) => store.setPhoto({ version: store.get().photo.version - 1 })"
    other.tab.evaluate(f"import('/web/core/store.js').then({script})")
    other.tab.mouse.click(*other.at(BOX[0] + 20, BOX[1] + 20))
    other.told("changed in another tab. It is up to date again")
    other.until("state.photo.draft === null && state.photo.masks.size === 1")
    assert len(studio.masks(1)) == 1
    other.context.close()


def test_keys_alone_are_enough(page: Page, studio: Studio):
    page.tab.focus("#canvas")
    for _ in range(3):
        page.tab.keyboard.press("ArrowLeft")
    page.press(".")
    page.press("Enter")
    assert len(studio.masks(1)) == 1
    page.tab.keyboard.press("?")
    page.tab.get_by_role("heading", name="Keys").wait_for()
    page.shot("keys")
    page.tab.get_by_label("Key for: Fit the photo").click()
    page.tab.keyboard.press("x")
    page.tab.keyboard.press("Escape")
    page.tab.keyboard.press("Control+=")
    zoomed = page.state("state.camera.scale")
    page.tab.keyboard.press("x")
    page.until(f"state.camera.scale < {zoomed}")
    page.tab.keyboard.press("PageDown")
    page.until("state.photo.name === 'b.png'")


def test_a_phone_taps_presses_long_and_pinches(browser: Any, studio: Studio):
    page = Page(browser, studio, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    page.tab.touchscreen.tap(*page.at(*DISK[:2]))
    page.until("state.photo.draft?.steps.length === 1 && state.busy === 0")
    page.shot("phone")
    touch = page.context.new_cdp_session(page.tab)
    x, y = page.at(300, 20)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.until("state.photo.draft?.steps.length === 2 && state.busy === 0")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.state("state.photo.draft.steps[1].include") is False
    before = page.state("state.camera.scale")
    x, y = page.at(160, 120)

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 30)
    for apart in (40, 60, 80):
        fingers("touchMove", apart)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.until(f"state.camera.scale > {before} * 2")
    assert page.state("state.photo.draft.steps.length") == 2
    page.tab.get_by_role("button", name="Accept the mask").click()
    page.until("state.photo.masks.size === 1")
    page.context.close()
    assert page.troubles == []


def test_masks_in_a_file_are_loaded_and_can_be_corrected(browser: Any, tmp_path: Path, model):
    folder = make_folder(tmp_path / "photos", ("a.jpg",))
    mask = em.Mask.from_segmentation(np.pad(np.ones((60, 80), bool), ((90, 90), (50, 190))), label="thing")
    em.MaskSet([mask]).save(folder / "a.json", "labelme", photo="a.jpg")
    with running(folder, model) as studio:
        page = Page(browser, studio)
        assert json.dumps(page.state("[...state.photo.masks.values()].map((m) => m.label)")) == '["thing"]'
        page.tab.locator(".mask").click()
        page.press("r")
        page.click(*DISK[:2])
        page.press("Enter")
        (corrected,) = studio.masks(1)
        assert corrected["label"] == "thing"
        assert corrected["counts"] != mask.rle["counts"]
        page.context.close()
