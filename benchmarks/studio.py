"""The studio in a real Chromium: what a person waits for, and the processor time the server takes for it.

    python -m benchmarks studio [-- [--trace FOLDER] [--large]]

Prints the time from the pointer's event to the painted mask, a step of a slider, a 12-megapixel photo from
opened to ready for clicks, and frames while 500 masks are panned, counted in Chromium's own trace, which is
kept in FOLDER to be opened in its developer tools; with ``--large`` also 100 megapixels that are panned at
their actual size, so that tiles come all the time. The pointer moves once a frame. The ceiling is a page of
one plain picture as large as the stage, moved as far in the same Chromium, in the same way. Wall times are
of the whole machine, so run it alone; processor times are the server's and the page's own. Needs Chromium
or Chrome, playwright, and the dev extra.
"""

from __future__ import annotations

import base64
import json
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import everymask as em
from everymask.masks import rle
from tests.studio.browser import launched
from tests.studio.harness import Studio, running

HOVERS = 60
MEGAPIXELS_12 = (3000, 4000)
MEGAPIXELS_100 = (8400, 12000)
MASKS = 500


def main() -> None:
    """Run all four and print a line each."""
    model = em.load("nano", device="cpu")
    print(f"{platform.processor() or platform.machine()}, model nano; wall time and server processor time")
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        photos = Path(folder)
        Image.fromarray(picture((1200, 1800))).save(photos / "a.jpg", quality=92)
        Image.fromarray(picture((1200, 1800))).save(photos / "b.jpg", quality=92)  # this one is read ahead
        Image.fromarray(picture(MEGAPIXELS_12)).save(photos / "c.jpg", quality=92)
        if "--large" in sys.argv:
            Image.fromarray(picture(MEGAPIXELS_100)).save(photos / "d.jpg", quality=92)
        with running(photos, model) as studio:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(studio.link)
            wait(page, "state.photo?.encoded")
            report("pointer to painted mask", *hovers(page))
            report("slider step", *slider_steps(page))
            report("12 megapixels, opened to ready", *opened(page))
            add_masks(studio, 3)
            page.reload()
            wait(page, f"state.photo?.masks.size === {MASKS}")
            print(f"panning {MASKS} masks on 12 megapixels  {panned(page)}")
            kept = Path(sys.argv[sys.argv.index("--trace") + 1]) if "--trace" in sys.argv else photos
            ours = traced(browser, page, kept / "panning.json")
            plain = traced(browser, plain_page(browser, photos / "a.jpg"), kept / "plain.json")
            print(f"traced in Chromium                  {ours}")
            print(f"one plain picture, traced: ceiling  {plain}")
            print(f"of the ceiling                      {ours.frames_a_second / plain.frames_a_second:.0%}")
            if "--large" in sys.argv:
                large(page)
                print(f"100 megapixels, panned, traced      {traced(browser, page, kept / 'large.json', 3)}")


def report(name: str, wall_ms: list[float], cpu_ms: float) -> None:
    """One line: median and 95th percentile, and the server's processor time each."""
    middle, most = np.percentile(wall_ms, [50, 95])
    print(f"{name:32} median {middle:6.0f} ms  p95 {most:6.0f} ms  server processor time {cpu_ms:5.0f} ms")


def state(page: Any, expression: str) -> Any:
    """Something of the page's state."""
    script = f"(store) => {{ const state = store.get(); return {expression}; }}"
    return page.evaluate(f"import('/web/core/store.js').then({script})")


def wait(page: Any, expression: str) -> None:
    """Until it is so."""
    for _ in range(3000):
        if state(page, expression):
            return
        page.wait_for_timeout(10)
    raise TimeoutError(expression)


def server_time() -> float:
    """Processor time of this process but for what drives the browser, in seconds."""
    return time.process_time() - time.thread_time()


def hovers(page: Any) -> tuple[list[float], float]:
    """Move the pointer; milliseconds from its event until a frame shows its mask, by the page's own clock."""
    page.evaluate(
        "window.addEventListener('pointermove', (event) => { window.at_ = event.timeStamp; }, true)"
    )
    before = server_time()
    random = np.random.default_rng(0)
    waited = []
    for x, y in random.uniform((100, 120), (900, 640), (HOVERS, 2)):
        page.evaluate("performance.clearMarks()")
        page.mouse.move(x, y)
        script = """async () => {
          while (!performance.getEntriesByName('hover-painted').length)
            await new Promise(requestAnimationFrame);
          return performance.getEntriesByName('hover-painted')[0].startTime - window.at_;
        }"""
        waited.append(page.evaluate(script))
    return waited, 1000 * (server_time() - before) / HOVERS


def slider_steps(page: Any) -> tuple[list[float], float]:
    """Steps of the predicted IoU threshold; milliseconds until the masks are in the page's state."""
    page.get_by_role("tab", name="Everything").click()
    page.get_by_role("button", name="Find everything").last.click()
    wait(page, "state.findings?.histograms")
    script = """async (value) => {
      const { choose } = await import('/web/panels/findings.js');
      const begun = performance.now();
      await choose({ pred_iou_thresh: value });
      await new Promise(requestAnimationFrame);
      return performance.now() - begun;
    }"""
    values = np.linspace(0.1, 0.7, 25)
    before = server_time()
    waited = [page.evaluate(script, float(value)) for value in values]
    cpu = 1000 * (server_time() - before) / len(values)
    page.get_by_role("tab", name="Masks").click()
    return waited, cpu


def opened(page: Any) -> tuple[list[float], float]:
    """The 12-megapixel photo, which nothing has read ahead: from the request to clicks being answered."""
    before = server_time()
    begun = time.perf_counter()
    page.evaluate("import('/web/core/desk.js').then((desk) => desk.open(3))")
    wait(page, "state.photo?.id === 3 && state.photo.encoded")
    return [1000 * (time.perf_counter() - begun)], 1000 * (server_time() - before)


def add_masks(studio: Studio, photo: int) -> None:
    """Discs all over the photo."""
    height, width = MEGAPIXELS_12
    random = np.random.default_rng(0)
    masks = []
    for x, y, radius in random.integers((200, 200, 20), (width - 200, height - 200, 160), (MASKS, 3)):
        down, across = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disc = down**2 + across**2 <= radius**2
        runs = rle.encode_at(disc, (int(x - radius), int(y - radius)), (height, width))
        masks.append({"counts": rle.to_coco(runs)["counts"]})
    studio.act(photo, type="add", masks=masks)


MOVE = """(speed) => new Promise((done) => {
  const times = [];
  const tick = (now) => {
    times.push(now);
    const clientX = 500 + speed * 80 * Math.sin(now / 300);
    const clientY = 400 + speed * 60 * Math.cos(now / 420);
    const target = document.getElementById('canvas');
    const how = { clientX, clientY, pointerId: 1, pointerType: 'mouse', buttons: 1, bubbles: true };
    target.dispatchEvent(new PointerEvent('pointermove', how));
    if (now - times[0] < 2000) requestAnimationFrame(tick);
    else done(times);
  };
  requestAnimationFrame(tick);
})"""
"""The pointer moves about once a frame for two seconds; when each frame began."""

PLAIN = """<!doctype html><style>
  body { margin: 0; background: #0e0f12; overflow: hidden; }
  #canvas { position: absolute; left: 52px; top: 48px; width: 924px; height: 668px; overflow: hidden; }
  img { position: absolute; left: -100px; top: -100px; width: 1124px; height: 868px; will-change: transform; }
</style><div id="canvas"><img></div><script>
  document.getElementById('canvas').onpointermove = ({ clientX, clientY, buttons }) => {
    const way = `translate(${Math.round(clientX - 500)}px, ${Math.round(clientY - 400)}px)`;
    if (buttons) document.querySelector('img').style.transform = way;
  };
</script>"""


def plain_page(browser: Any, photo: Path) -> Any:
    """A page of one picture that follows the pointer, the stage of the studio around it."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_content(PLAIN)
    data = base64.b64encode(photo.read_bytes()).decode()
    load = "(url) => { const image = document.querySelector('img'); image.src = url; return image.decode(); }"
    page.evaluate(load, f"data:image/jpeg;base64,{data}")
    page.wait_for_timeout(500)
    return page


def panned(page: Any) -> str:
    """Frames a second while the photo is dragged about for two seconds, as the page counts them."""
    page.get_by_role("button", name="Move the photo").click()
    page.wait_for_timeout(3000)
    page.mouse.move(500, 400)
    page.mouse.down()
    steps = np.diff(page.evaluate(MOVE, 1))
    page.mouse.up()
    return f"{1000 / steps.mean():.0f} frames a second, p95 {np.percentile(steps, 95):.0f} ms between"


ACTIVATED = "LayerTreeHostImpl::ActivateSyncTree"


def large(page: Any) -> None:
    """Open the photo of 100 megapixels at its actual size, in its middle."""
    page.evaluate("import('/web/core/desk.js').then((desk) => desk.open(4))")
    wait(page, "state.photo?.id === 4 && state.photo.encoded")
    height, width = MEGAPIXELS_100
    camera = f"{{ scale: 1, x: {width // 2}, y: {height // 2} }}"
    page.evaluate(f"import('/web/core/store.js').then((store) => store.set({{ camera: {camera} }}))")
    page.wait_for_timeout(2000)


@dataclass(frozen=True)
class Trace:
    """Two seconds of panning in Chromium's trace."""

    file: Path
    frames_a_second: float  # that reached the compositor
    spent_ms: np.ndarray  # by the page, each frame
    cpu_ms: np.ndarray  # the same in processor time

    def __str__(self) -> str:
        middle, most = np.percentile(self.spent_ms, [50, 95])
        middle_cpu, most_cpu = np.percentile(self.cpu_ms, [50, 95])
        late = float(np.mean(self.spent_ms > 1000 / 60))
        return (
            f"{self.frames_a_second:.0f} frames a second; the page's part median {middle:.1f} ms, "
            f"p95 {most:.1f} ms, {late:.0%} over 16.7 ms; in processor time {middle_cpu:.1f} and "
            f"{most_cpu:.1f} ms ({self.file})"
        )


def traced(browser: Any, page: Any, file: Path, speed: float = 1.0) -> Trace:
    """Pan for two seconds: frames that Chromium drew, and how long the page's own work took."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page.bring_to_front()
    browser.start_tracing(page=page, path=file, categories=["devtools.timeline", "cc", "benchmark"])
    page.mouse.move(500, 400)
    page.mouse.down()
    page.evaluate(MOVE, speed)
    page.mouse.up()
    browser.stop_tracing()
    events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    # what is new on the page reaches the compositor; without a window Chromium draws nothing else
    drawn = sorted({each["ts"] for each in events if each["name"] == ACTIVATED and each["ph"] == "X"})
    frames = [each for each in events if each["name"] == "FireAnimationFrame" and "dur" in each]
    if len(drawn) < 2 or not frames:
        raise RuntimeError(f"no frames in {file}")
    rate = (len(drawn) - 1) / ((drawn[-1] - drawn[0]) / 1e6)
    spent = np.array([each["dur"] / 1000 for each in frames])
    return Trace(file, rate, spent, np.array([each.get("tdur", each["dur"]) / 1000 for each in frames]))


def picture(hw: tuple[int, int]) -> np.ndarray:
    """Something with objects in it, RGB uint8: the bundled photo, enlarged."""
    photo = em.read_photo(Path(em.__file__).parent / "assets" / "photo.jpg")
    return np.asarray(Image.fromarray(photo).resize(hw[::-1], Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
