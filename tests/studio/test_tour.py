"""The two-minute tour of docs/studio.md, on the bundled photo; STUDIO_SHOTS=FOLDER keeps its pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import everymask as em
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
