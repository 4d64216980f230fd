"""The two-minute tour of docs/studio.md, on the bundled photo; STUDIO_SHOTS=FOLDER keeps its pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import everymask as em
from everymask.media.video_writer import VideoWriter
from tests.studio.harness import Studio, running
from tests.studio.page import Page
from tests.studio.test_page import slide

PHOTO = Path(em.__file__).parent / "assets" / "photo.jpg"


@pytest.fixture
def tour(tmp_path: Path, model: em.PromptableModel) -> Iterator[Studio]:
    for number in range(1, 5):
        shutil.copyfile(PHOTO, tmp_path / f"kitchen-{number}.jpg")
    with running(tmp_path, model) as studio:
        yield studio


def test_the_tour_of_the_docs(browser: Any, tour: Studio):
    page = Page(browser, tour)
    height, width = page.state("state.photo.size")
    x, y = 0.5 * width, 0.55 * height
    page.tab.mouse.move(*page.at(x, y))
    page.until("state.hover !== null")
    page.shot("hover")
    page.click(x, y)
    page.until("state.photo.reply.candidates.length === 3")
    page.shot("answers")
    page.tab.fill("[aria-label='Name of a new class']", "cup")
    page.tab.keyboard.press("Enter")
    page.until("state.activeClass === 'cup'")
    page.tab.focus("#canvas")
    page.press("Enter")
    assert [mask["label"] for mask in tour.masks(1)] == ["cup"]
    page.tab.keyboard.press("Escape")

    page.tab.keyboard.press("a")
    page.until("state.findings?.histograms")
    page.tab.get_by_role("button", name="Compare").click()
    before = page.state("state.findings.choice.numbers.length")
    slide(page, "Predicted IoU above", 0.6)
    page.until("state.findings.choice.thresholds.pred_iou_thresh === 0.6")
    assert page.state("state.findings.choice.numbers.length") < before
    page.tab.mouse.move(*page.at(5, 5))
    page.shot("compare")
    page.tab.get_by_role("button", name="Keep").click()
    page.until("state.panel === 'masks'")
    count = page.state("state.photo.masks.size")
    assert count == len(tour.masks(1)) > 1
    page.tab.locator(".mask").nth(1).click()
    page.tab.locator(".mask").nth(2).hover()
    page.shot("list")
    page.tab.keyboard.press("Control+e")
    page.tab.locator("label.format", has_text="yolo").click()
    page.tab.get_by_role("button", name="Prepare files").click()
    page.tab.locator(".losses").wait_for()
    page.shot("export")
    page.context.close()
    assert page.troubles == []
    assert page.foreign == []


@pytest.fixture
def clip_tour(tmp_path: Path, model: em.PromptableModel) -> Iterator[Studio]:
    """A camera that moves over the bundled photo."""
    photo = em.read_photo(PHOTO)
    height, width = photo.shape[0] * 4 // 5 // 2 * 2, photo.shape[1] * 4 // 5 // 2 * 2
    with VideoWriter(tmp_path / "table.mp4", 12) as writer:
        for frame in range(24):
            x = round((photo.shape[1] - width) * (0.5 - 0.5 * np.cos(frame / 23 * np.pi)))
            y = round((photo.shape[0] - height) * frame / 23)
            writer.write(np.ascontiguousarray(photo[y : y + height, x : x + width]))
    with running(tmp_path, model) as studio:
        yield studio


def test_the_tour_of_a_clip(browser: Any, clip_tour: Studio):
    page = Page(browser, clip_tour)
    page.until("state.clip?.length === 24 && state.photo?.frame === 0")
    page.tab.fill("[aria-label='Name of a new class']", "cup")
    page.tab.keyboard.press("Enter")
    page.until("state.activeClass === 'cup'")
    page.drag((172, 12), (410, 210))
    page.until("state.clip.objects.size === 1")
    page.tab.keyboard.press("Enter")
    page.until("state.selected.size === 0")
    page.tab.fill("[aria-label='Name of a new class']", "spoon")
    page.tab.keyboard.press("Enter")
    page.until("state.activeClass === 'spoon'")
    page.drag((324, 244), (408, 318))
    page.until("state.clip.objects.size === 2")
    page.press("x")
    page.until("state.clip.run?.state === 'done' && state.clip.frame === 23")
    page.tab.get_by_role("slider", name="Frame").fill("6")
    page.until("state.clip.frame === 6")
    page.tab.mouse.move(*page.at(3, 3))
    page.told("Tracked 23 frames.")
    page.until("document.querySelector('.notice') === null")  # it goes away by itself
    page.until("[...state.clip.strips.values()].every((strip) => [...strip].every((value) => value >= 0))")
    page.shot("clip")
    page.context.close()
    assert page.troubles == []
    assert page.foreign == []
