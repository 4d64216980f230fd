"""Everything mode on the page: presets, and what is copied of it leads to the same masks elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

import everymask as em
from everymask.cli import main as cli
from everymask.everything.presets import PRESETS
from tests.studio.harness import Studio
from tests.studio.page import Page
from tests.studio.scene import DISK
from tests.studio.test_page import slide

IMPORT = "import('/web/panels/findings.js').then((findings) => "


def shown(page: Page, size: tuple[int, int]) -> list[np.ndarray]:
    """The masks that sliders and clicks leave, largest first."""
    counts = page.state(f"{IMPORT}findings.kept(state).map((mask) => mask.counts))")
    return in_order(em.Mask({"size": list(size), "counts": each}) for each in counts)


def in_order(masks: Any) -> list[np.ndarray]:
    found = sorted(masks, key=lambda mask: (mask.area, mask.bbox))
    return [mask.segmentation for mask in found]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_preset_is_run_and_what_is_copied_gives_the_same_masks(
    browser: Any, studio: Studio, tmp_path: Path
):
    page = Page(browser, studio)
    page.tab.get_by_role("tab", name="Everything").click()
    page.tab.get_by_role("radio", name="Quick").click()
    chooser = page.tab.get_by_label("Preset")
    assert chooser.locator("option").all_inner_texts() == ["none", *PRESETS]
    chooser.select_option("objects")
    page.tab.get_by_text(PRESETS["objects"].purpose).wait_for()
    page.tab.get_by_role("button", name="Find everything").last.click()
    page.until("state.findings?.choice.numbers.length > 0")
    assert page.state("state.findings.options") == {"points_per_side": 16, "preset": "objects"}
    of_nano = PRESETS["objects"].of_model["nano"]["pred_iou_thresh"]
    assert page.state("state.findings.defaults.pred_iou_thresh") == of_nano
    slide(page, "Predicted IoU above", 0.2)
    page.until("state.findings.choice.thresholds.pred_iou_thresh === 0.2")
    slide(page, "Area at least", 0.5)
    page.tab.get_by_role("radio", name="Wholes").click()
    page.until("state.sizes.level === 0 && state.findings.choice.levels.size > 0")
    page.shot("presets")
    expected = shown(page, (240, 320))
    assert expected
    command = page.state(f"{IMPORT}findings.asCommand(state))")
    python = page.state(f"{IMPORT}findings.asPython(state))")
    page.context.close()
    assert page.troubles == []
    words = shlex.split(command)
    assert words[:2] == ["everymask", "segment"]
    assert cli.run([*words[1:], "-f", "coco", "-o", str(tmp_path / "out")]) == 0
    assert same(in_order(em.read_masks(tmp_path / "out" / "coco.json")), expected)
    names: dict[str, Any] = {}
    exec(python, names)
    assert same(in_order(names["masks"]), expected)


def test_a_run_is_stopped_by_escape_and_begun_again_by_its_key(browser: Any, studio: Studio):
    page = Page(browser, studio)
    page.tab.get_by_role("tab", name="Everything").click()
    page.tab.get_by_role("radio", name="Thorough").click()
    page.tab.keyboard.press("a")
    page.until("state.findings?.state === 'running'")
    page.tab.keyboard.press("Escape")
    page.until("state.findings.state === 'cancelled'")
    assert page.state("state.panel") == "everything"
    page.tab.get_by_text("Stopped. Nothing was changed.").wait_for()
    page.tab.get_by_role("radio", name="Quick").click()
    page.tab.keyboard.press("a")
    page.until("state.findings.state === 'done' && state.findings.choice.numbers.length > 0")
    page.context.close()
    assert page.troubles == []


def test_the_finding_under_the_pointer_is_shown_thrown_away_and_brought_back(browser: Any, studio: Studio):
    page = Page(browser, studio)
    page.tab.get_by_role("tab", name="Everything").click()
    page.tab.get_by_role("radio", name="Quick").click()
    page.tab.keyboard.press("a")
    page.until("state.findings?.choice.numbers.length > 0")
    at = page.at(*DISK[:2])
    page.tab.mouse.move(*at)
    page.until("state.hover?.finding !== undefined")
    under = page.state("state.hover.finding")
    before = page.state(f"{IMPORT}findings.kept(state).length)")
    page.tab.mouse.click(*at)
    page.until(f"state.findings.thrown.has({under})")
    page.tab.mouse.click(*at, button="right")
    page.until("state.findings.thrown.size === 0")
    assert page.state(f"{IMPORT}findings.kept(state).length)") == before
    page.context.close()
    assert page.troubles == []
