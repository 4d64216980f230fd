"""A page of the studio, spoken to in pixels of the photo."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.studio.harness import Studio

SHOTS = os.environ.get("STUDIO_SHOTS")
"""A folder for screenshots, to be looked at; docs/pictures takes those of the tour."""


PATIENCE_MS = 180_000
"""A test waits for what the page shows, however busy the machine is; this long, and it never comes."""


REMEMBER_NOTICES = """
window.said = [];
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes)
    if (node.classList?.contains("notice")) window.said.push(node.textContent);
}).observe(document, { childList: true, subtree: true });
"""
"""Notices go away by themselves, also while a busy test looks elsewhere."""


DROP = """([name, type, content]) => {
    const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], name, { type }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""
"""Drop a file onto the page: its name, type, and content in base64."""


class Page:
    """A page of the studio, spoken to in pixels of the photo."""

    def __init__(self, browser: Any, studio: Studio, *, is_empty: bool = False, **context: Any) -> None:
        """``is_empty``: the session has no photo and no clip yet."""
        self.studio = studio
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(REMEMBER_NOTICES)
        self.tab = self.context.new_page()
        self.troubles: list[str] = []
        self.foreign: list[str] = []
        self.tab.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.tab.on("console", lambda m: m.type == "error" and self.troubles.append(m.text))
        self.tab.on("request", self._asked)
        self.tab.goto(studio.link)
        if not is_empty:
            self.ready()

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((f"http://127.0.0.1:{self.studio.port}/", "data:", "blob:")):
            self.foreign.append(request.url)

    def ready(self) -> None:
        """Wait until the photo is encoded and lies still: panels that open move it."""
        self.until("state.photo?.encoded")
        places: list[Any] = []
        for _ in range(PATIENCE_MS // 50):
            places.append((self.state("state.camera"), self.tab.locator("#canvas").bounding_box()))
            if len(places) > 4 and all(place == places[-1] for place in places[-5:]):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"the photo never lay still: {places[-2:]}")

    def state(self, expression: str) -> Any:
        """Something of the page's state: ``state.photo.version``."""
        script = f"(store) => {{ const state = store.get(); return {expression}; }}"
        return self.tab.evaluate(f"import('/web/core/store.js').then({script})")

    def until(self, expression: str) -> None:
        """Wait for something of the page's state to be so."""
        for _ in range(PATIENCE_MS // 50):
            if self.state(expression):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"never became true: {expression}; {self.troubles}")

    def told(self, text: str) -> None:
        """Wait until a notice said this, whether or not it is still there."""
        self.until(f"window.said.some((each) => each.includes({json.dumps(text)}))")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the photo is on the screen."""
        camera = self.state("state.camera")
        box = self.tab.locator("#canvas").bounding_box()
        return (
            box["x"] + (x + 0.5 - camera["x"]) * camera["scale"],
            box["y"] + (y + 0.5 - camera["y"]) * camera["scale"],
        )

    def click(self, x: float, y: float, **how: Any) -> None:
        """Click on a pixel of the photo and wait for what comes of it."""
        before = self.state("state.photo.version")
        self.tab.mouse.click(*self.at(x, y), **how)
        self.until(f"state.photo.version > {before} && state.busy === 0")

    def drag(self, *points: tuple[float, float]) -> None:
        """Press on the first point, move through the others, let go."""
        before = self.state("state.photo.version")
        self.tab.mouse.move(*self.at(*points[0]))
        self.tab.mouse.down()
        for point in points[1:]:
            self.tab.mouse.move(*self.at(*point), steps=4)
        self.tab.mouse.up()
        self.until(f"state.photo.version > {before} && state.busy === 0")

    def press(self, *keys: str) -> None:
        """Press keys that change the masks."""
        for key in keys:
            before = self.state("state.photo.version")
            self.tab.keyboard.press(key)
            self.until(f"state.photo.version > {before} && state.busy === 0")

    def shot(self, name: str) -> None:
        """A screenshot, where somebody wants to look."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.tab.wait_for_timeout(300)
            self.tab.screenshot(path=f"{SHOTS}/studio-{name}.jpg", type="jpeg", quality=86)


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds on a page (made with ``bypass_csp=True``). Skips where it is missing; CI fails."""
    source = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        said = "axe-core is not installed; run: make page-tools"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    page.tab.add_script_tag(path=source)
    found = page.tab.evaluate("axe.run()")["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html'][:120]}" for each in serious for node in each["nodes"]]
