"""A clip in a real Chromium with nano: prompted, tracked, corrected, exported, killed and reopened."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import everymask as em
from everymask.formats import video_coco_vis
from everymask.masks.rle import decode, from_coco, to_coco
from tests.studio.clip_scene import HEIGHT, WIDTH, box_at, disc_at, write_clip
from tests.studio.harness import Studio, running
from tests.studio.page import DROP, Page, serious_faults

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "run.mp4", 16)
    return tmp_path


@pytest.fixture
def studio(folder: Path, model: em.PromptableModel) -> Iterator[Studio]:
    with running(folder, model) as studio:
        yield studio


def disc_pixels(frame: int) -> np.ndarray:
    """The disc on a frame, bool [H, W]."""
    x, y, radius = disc_at(frame)
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    return (across - x) ** 2 + (down - y) ** 2 <= radius**2


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((one & other).sum() / (one | other).sum())


def test_a_clip_is_tracked_corrected_and_exported(browser: Any, studio: Studio, tmp_path: Path):
    page = Page(browser, studio)
    page.until("state.clip?.length === 16")
    page.tab.fill("[aria-label='Name of a new class']", "ball")
    page.tab.keyboard.press("Enter")
    page.until("state.activeClass === 'ball'")
    page.click(*disc_at(0)[:2])
    page.until("state.clip.objects.size === 1 && state.selected.has(1)")
    assert page.state("state.clip.objects.get(1).label") == "ball"
    page.tab.get_by_role("button", name="Track on from this frame").click()
    page.until("state.clip.run?.state === 'done' && state.clip.frame === 15")
    assert page.state("[...state.clip.strips.get(1)].every((value) => value >= 0)") is True
    page.shot("clip-tracked")

    # A second object, half-way; it is tracked on from there only.
    page.tab.keyboard.press("Escape")
    page.tab.get_by_role("slider", name="Frame").fill("6")
    page.until("state.clip.frame === 6")
    x0, y0, x1, y1 = box_at(6)
    page.drag((x0 - 2, y0 - 2), (x1 + 2, y1 + 2))
    page.until("state.clip.objects.size === 2 && state.selected.has(2)")
    page.press("x")
    page.until("state.clip.run.state === 'done' && state.clip.frame === 15")
    known = page.state("[...state.clip.strips.get(2)].map((value) => value >= 0)")
    assert known == [False] * 6 + [True] * 10

    # A correction, and what is before it stays.
    before = studio.get("/api/clips/1/masks?first=0&last=9")
    page.tab.locator("[data-object='1'].mask").click()
    page.tab.get_by_role("slider", name="Frame").fill("10")
    page.until("state.clip.frame === 10")
    page.click(*disc_at(10)[:2])
    page.click(3, 3, button="right")
    page.until("state.photo.draft.steps.length === 2")
    page.shot("clip-corrected")
    assert studio.get("/api/clips/1/masks?first=0&last=9") == before
    page.press("s")
    page.until("state.clip.run.state === 'done' && state.clip.frame === 11")
    page.press("Control+z", "Control+z", "Control+Shift+z")
    page.until("state.clip.prompts.get('10/1').length === 2")

    page.tab.keyboard.press("Control+e")
    page.tab.locator("label.format", has_text="cvat").click()
    page.tab.get_by_role("button", name="Prepare files").click()
    page.tab.get_by_role("heading", name="Nothing is lost").wait_for()
    page.shot("clip-export")
    with page.tab.expect_download() as download:
        page.tab.get_by_role("link", name="Download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "out")
    clip = video_coco_vis.read(tmp_path / "out" / "run_coco_vis.json")
    assert overlap(decode(clip.frames[12][1].rle), disc_pixels(12)) > 0.8
    assert (tmp_path / "out" / "run_overlay.mp4").stat().st_size > 1000
    assert (tmp_path / "out" / "run_cvat.xml").is_file()
    page.context.close()
    assert page.troubles == []
    assert page.foreign == []


def test_hover_and_polygons_in_a_clip(browser: Any, studio: Studio):
    page = Page(browser, studio)
    page.until("state.clip !== null && state.photo?.frame === 0")
    page.tab.mouse.move(*page.at(*disc_at(0)[:2]))
    page.until("state.hover !== null")
    shown = page.state("[state.hover.size, state.hover.counts]")
    mask = decode(from_coco({"size": shown[0], "counts": shown[1]}))
    assert overlap(mask, disc_pixels(0)) > 0.8
    page.shot("clip-hover")
    page.tab.keyboard.press("n")
    page.until("state.clip.frame === 1 && state.hover === null")  # it was about another frame

    page.tab.keyboard.press("g")
    for corner in ((20, 20), (60, 20), (60, 70), (20, 70)):
        page.tab.mouse.click(*page.at(*corner))
    page.press("Enter")
    page.until("state.clip.objects.size === 1 && state.outline?.rings[0].length === 4")
    page.shot("clip-polygon")
    square = drawn(studio, 1)
    assert square[21:70, 21:60].all()
    page.drag((59.5, 69.5), (99.5, 89.5))
    moved = drawn(studio, 1)
    assert moved[80, 85]
    assert moved.sum() > square.sum()
    page.press("Control+z")
    assert np.array_equal(drawn(studio, 1), square)
    page.context.close()
    assert page.troubles == []


def drawn(studio: Studio, frame: int) -> np.ndarray:
    """The first object on a frame, bool [H, W]."""
    value = studio.get(f"/api/clips/1/masks?first={frame}&last={frame}")[f"mask/{frame}/1"]
    return decode(from_coco({"size": [HEIGHT, WIDTH], "counts": value["counts"]}))


def test_a_video_is_dropped_onto_an_empty_page_and_is_there_again(
    browser: Any, tmp_path: Path, model: em.PromptableModel
):
    content = base64.b64encode(write_clip(tmp_path / "drop me.mp4", 3).read_bytes()).decode()
    folder = tmp_path / "empty"
    folder.mkdir()
    with running(folder, model) as studio:
        page = Page(browser, studio, is_empty=True)
        page.tab.get_by_role("heading", name="Drop photos or a video here").wait_for()
        page.shot("empty")
        for name in ("Export", "Next photo", "Photo is done, on to the next"):
            assert page.tab.get_by_role("button", name=name).first.is_disabled(), name
        page.tab.evaluate(DROP, ["broken.mp4", "video/mp4", base64.b64encode(b"no video").decode()])
        page.told("this file")
        assert studio.get("/api/session")["clips"] == []
        page.tab.evaluate(DROP, ["drop me.mp4", "video/mp4", content])
        page.until("state.clip?.length === 3 && state.photo?.frame === 0")
        page.click(*disc_at(0)[:2])
        page.context.close()
        troubles = [
            each for each in page.troubles if "422" not in each
        ]  # the browser tells of the broken one
        assert troubles == []
    with running(folder, model) as studio:
        (clip,) = studio.get("/api/session")["clips"]
        assert (clip["name"], clip["objects"]) == ("everymask-uploads/drop me.mp4", 1)


def test_keys_alone_track_a_clip(browser: Any, studio: Studio):
    page = Page(browser, studio)
    page.until("state.clip !== null && state.photo?.frame === 0")
    page.tab.focus("#canvas")
    page.tab.keyboard.press("n")
    page.until("state.clip.frame === 1")
    page.tab.keyboard.press("Shift+N")
    page.until("state.clip.frame === 11")
    page.tab.keyboard.press("Home")
    page.until("state.clip.frame === 0")
    x, y, _ = disc_at(0)
    page.tab.keyboard.press("ArrowLeft")  # the cross appears in the middle and goes left
    while page.state("state.pointer[0]") > x:
        page.tab.keyboard.press("ArrowLeft")
        page.tab.wait_for_timeout(20)
    while page.state("state.pointer[1]") > y:
        page.tab.keyboard.press("ArrowUp")
        page.tab.wait_for_timeout(20)
    page.press(".")
    page.until("state.clip.objects.size === 1")
    page.press("s")
    page.until("state.clip.run?.state === 'done' && state.clip.frame === 1")
    page.tab.keyboard.press("x")
    page.until("state.clip.run?.done > 2")
    page.tab.keyboard.press("q")  # where it is at the end by now, nothing is stopped
    page.until("state.clip.run.state !== 'running'")
    page.tab.keyboard.press("Home")
    page.until("state.clip.frame === 0")
    for frame in (1, 2):
        page.tab.keyboard.press("n")
        page.until(f"state.clip.frame === {frame}")
    page.press("j")  # not there on this frame: a doubt to go back to
    page.until("state.clip.masks.get(`${state.clip.frame}/1`).area === 0")
    page.tab.keyboard.press("k")
    page.until("!state.clip.playing && state.clip.frame === 15")
    page.tab.keyboard.press("Shift+W")
    page.until("state.clip.frame < 15")
    page.tab.keyboard.press("?")
    page.tab.get_by_role("heading", name="Clip", exact=True).wait_for()
    page.shot("clip-keys")
    page.context.close()
    assert page.troubles == []


def test_a_clip_on_a_phone(browser: Any, studio: Studio):
    page = Page(browser, studio, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    page.until("state.photo?.frame === 0")
    page.tab.touchscreen.tap(*page.at(*disc_at(0)[:2]))
    page.until("state.clip.objects.size === 1 && state.busy === 0")
    page.tab.get_by_role("button", name="Track one frame").tap()
    page.until("state.clip.frame === 1 && state.clip.run.state === 'done'")
    page.tab.get_by_role("button", name="Next frame").tap()
    page.until("state.clip.frame === 2")
    page.shot("clip-phone")
    page.context.close()
    assert page.troubles == []


def test_accessibility_of_a_clip(browser: Any, studio: Studio):
    studio.act_on_clip(1, type="click", frame=0, x=30, y=45, label="ball")
    page = Page(browser, studio, bypass_csp=True)
    page.until("state.clip.objects.size === 1")
    page.tab.locator("[data-object='1'].mask").click()
    assert serious_faults(page) == []
    page.tab.keyboard.press("Control+e")
    assert serious_faults(page) == []
    page.context.close()


def test_a_killed_server_loses_no_frame_that_was_shown(browser: Any, folder: Path, model: em.PromptableModel):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.studio.killed_clip_server", str(folder)]

    def begun() -> tuple[subprocess.Popen[str], Studio]:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        return server, Studio(int(server.stdout.readline()), folder)

    def killed(server: subprocess.Popen[str], studio: Studio) -> None:
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        server.stdout.close()
        studio.client.close()

    server, studio = begun()
    page = Page(browser, studio)
    page.click(*disc_at(0)[:2])
    page.tab.keyboard.press("x")
    page.until("state.clip.run?.done >= 4")
    killed(server, studio)
    shown = page.state("[...state.clip.masks].map(([key, value]) => [key, value.counts])")
    page.context.close()
    server, studio = begun()
    page = Page(browser, studio)
    try:
        page.until("state.clip?.objects.size === 1 && state.clip.loaded.size > 0")
        kept = dict(page.state("[...state.clip.masks].map(([key, value]) => [key, value.counts])"))
        assert len(shown) >= 5
        assert {key: kept.get(key) for key, _ in shown} == dict(shown)
        at = len(kept) - 1
        page.tab.get_by_role("slider", name="Frame").fill(str(at))
        page.until(f"state.clip.frame === {at}")
        page.press("x")  # and it goes on from there
        page.until("state.clip.run?.state === 'done' && state.clip.frame === 15")
        assert page.state("[...state.clip.strips.get(1)].every((value) => value > 0)") is True
        # The masks are those of the library, which nobody killed.
        (said,) = studio.get("/api/clips/1")["values"]["prompt/0/1"]["steps"]
        with em.VideoTracker(model).open(folder / "run.mp4") as session:
            session.add_prompt(0, 1, points=[said["xy"]])
            expected = [to_coco(each.object_masks()[1].rle)["counts"] for each in session.propagate(0)]
        found = studio.get("/api/clips/1/masks?last=15")
        assert [found[f"mask/{frame}/1"]["counts"] for frame in range(16)] == expected
    finally:
        page.context.close()
        killed(server, studio)
