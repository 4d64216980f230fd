"""The studio in a real Chromium: what a person waits for, and the processor time the server takes for it.

    python -m benchmarks studio [-- [--trace FOLDER] [--large]]

Prints the time from the pointer to the painted mask, a 12-megapixel photo from opened to ready for clicks,
frames while 500 masks are panned (counted in Chromium's own trace, which is kept in FOLDER to be opened
in its developer tools), and a step of a slider; with ``--large`` also 100 megapixels that are panned at their
actual size, so that tiles come all the time. Wall times are of the whole machine, so run it alone; processor
times are the server's and the page's own. Needs Chromium or Chrome, playwright, and the dev extra.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
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
            print(f"traced in Chromium                  {traced(browser, page, kept / 'panning.json')}")
            if "--large" in sys.argv:
                large(page)
                print(
                    f"100 megapixels, panned, traced      {traced(browser, page, kept / 'large.json', 3.0)}"
                )


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


def hovers(page: Any) -> tuple[list[float], float]:
    """Move the pointer; milliseconds until a frame shows its mask, by the page's own clock."""
    before = time.process_time()
    random = np.random.default_rng(0)
    waited = []
    for x, y in random.uniform((100, 120), (900, 640), (HOVERS, 2)):
        page.evaluate("performance.clearMarks()")
        page.mouse.move(x, y)
        script = """async () => {
          while (!performance.getEntriesByName('hover-painted').length)
            await new Promise(requestAnimationFrame);
          const sent = performance.getEntriesByType('mark').filter((m) => /^hover-\\d/.test(m.name));
          return performance.getEntriesByName('hover-painted')[0].startTime - sent[0].startTime;
        }"""
        waited.append(page.evaluate(script))
    return waited, 1000 * (time.process_time() - before) / HOVERS


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
    before = time.process_time()
    waited = [page.evaluate(script, float(value)) for value in values]
    cpu = 1000 * (time.process_time() - before) / len(values)
    page.get_by_role("tab", name="Masks").click()
    return waited, cpu


def opened(page: Any) -> tuple[list[float], float]:
    """The 12-megapixel photo, which nothing has read ahead: from the request to clicks being answered."""
    before = time.process_time()
    begun = time.perf_counter()
    page.evaluate("import('/web/core/desk.js').then((desk) => desk.open(3))")
    wait(page, "state.photo?.id === 3 && state.photo.encoded")
    return [1000 * (time.perf_counter() - begun)], 1000 * (time.process_time() - before)


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


def panned(page: Any) -> str:
    """Frames a second while the photo is dragged about for two seconds."""
    page.get_by_role("button", name="Move the photo").click()
    page.wait_for_timeout(3000)
    script = """() => new Promise((done) => {
      const times = [];
      const tick = (now) => { times.push(now); times[times.length - 1] - times[0] < 2000
        ? requestAnimationFrame(tick) : done(times); };
      requestAnimationFrame(tick);
    })"""
    page.evaluate("window.frames_ = null")
    page.evaluate(f"void (({script})().then((times) => {{ window.frames_ = times; }}))")
    page.mouse.move(500, 400)
    page.mouse.down()
    moves = 0
    while page.evaluate("window.frames_ === null"):
        page.mouse.move(500 + 80 * np.sin(moves / 5), 400 + 60 * np.cos(moves / 7))
        moves += 1
    page.mouse.up()
    times = np.array(page.evaluate("window.frames_"))
    drawn = page.evaluate(
        """async () => {
          const { get, set } = await import('/web/core/store.js');
          const spent = [];
          for (let i = 0; i < 40; i++) {
            const { camera } = get();
            set({ camera: { ...camera, x: camera.x + 3 } });
            const begun = performance.now();
            await new Promise(requestAnimationFrame);
            await new Promise((done) => setTimeout(done));
            spent.push(performance.now() - begun);
          }
          return spent.sort((a, b) => a - b)[20];
        }"""
    )
    steps = np.diff(times)
    slow = np.percentile(steps, 95)
    return f"{1000 / steps.mean():.0f} frames a second, p95 {slow:.0f} ms between; {drawn:.0f} ms to draw one"


ACTIVATED = "LayerTreeHostImpl::ActivateSyncTree"


def large(page: Any) -> None:
    """Open the photo of 100 megapixels at its actual size, in its middle."""
    page.evaluate("import('/web/core/desk.js').then((desk) => desk.open(4))")
    wait(page, "state.photo?.id === 4 && state.photo.encoded")
    height, width = MEGAPIXELS_100
    camera = f"{{ scale: 1, x: {width // 2}, y: {height // 2} }}"
    page.evaluate(f"import('/web/core/store.js').then((store) => store.set({{ camera: {camera} }}))")
    page.wait_for_timeout(2000)


def traced(browser: Any, page: Any, file: Path, speed: float = 1.0) -> str:
    """Two seconds of panning in Chromium's trace: frames it drew, and how long the page's own work took."""
    file.parent.mkdir(parents=True, exist_ok=True)
    browser.start_tracing(page=page, path=file, categories=["devtools.timeline", "cc", "benchmark"])
    page.mouse.move(500, 400)
    page.mouse.down()
    begun = time.perf_counter()
    moves = 0
    while time.perf_counter() - begun < 2:
        page.mouse.move(500 + speed * 80 * np.sin(moves / 5), 400 + speed * 60 * np.cos(moves / 7))
        moves += 1
    page.mouse.up()
    browser.stop_tracing()
    events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    # what is new on the page reaches the compositor; without a window Chromium draws nothing else
    drawn = sorted({each["ts"] for each in events if each["name"] == ACTIVATED and each["ph"] == "X"})
    frames = [each for each in events if each["name"] == "FireAnimationFrame" and "dur" in each]
    spent = [each["dur"] / 1000 for each in frames]
    cpu = [each.get("tdur", each["dur"]) / 1000 for each in frames]
    if len(drawn) < 2 or not spent:
        return f"no frames in {file}"
    rate = (len(drawn) - 1) / ((drawn[-1] - drawn[0]) / 1e6)
    middle, most = np.percentile(spent, [50, 95])
    late = float(np.mean(np.array(spent) > 1000 / 60))
    middle_cpu, most_cpu = np.percentile(cpu, [50, 95])
    return (
        f"{rate:.0f} frames a second; the page's part median {middle:.1f} ms, p95 {most:.1f} ms, "
        f"{late:.0%} over 16.7 ms; in processor time {middle_cpu:.1f} and {most_cpu:.1f} ms ({file})"
    )


def picture(hw: tuple[int, int]) -> np.ndarray:
    """Something with objects in it, RGB uint8: the bundled photo, enlarged."""
    photo = em.read_photo(Path(em.__file__).parent / "assets" / "photo.jpg")
    return np.asarray(Image.fromarray(photo).resize(hw[::-1], Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
