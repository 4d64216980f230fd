"""The page of ``everymask export --web``: its folder, and in Chromium the masks that Python gives."""

from __future__ import annotations

import functools
import http.server
import io
import os
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

import everymask as em
from everymask.errors import DownloadError, OptionError
from everymask.export import page as page_module
from everymask.export.page import RUNTIME, export_page, find_runtime
from tests.studio.browser import launched

PHOTO = Path(em.__file__).parent / "assets" / "photo.jpg"
PACKAGE = Path(__file__).parents[1] / "studio" / "node_modules" / "onnxruntime-web"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not PACKAGE.exists():
        said = "onnxruntime-web is not installed; run: make page-tools"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    folder = tmp_path_factory.mktemp("page")
    export_page(em.load("nano", device="cpu"), folder, runtime=PACKAGE)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def ready(address):
    """The page with the demo photo encoded; what it asked for and complained of."""
    with launched() as browser:
        page, asked, complaints = browser.new_page(viewport={"width": 900, "height": 700}), [], []
        page.set_default_timeout(180_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        expect(page.locator("#status")).to_have_text(re.compile("^(Ready|That failed)"), timeout=180_000)
        yield SimpleNamespace(page=page, asked=asked, complaints=complaints)


@pytest.fixture(scope="module")
def predictor(folder):
    predictor = em.ImagePredictor(em.load(folder))
    predictor.set_image(em.read_photo(PHOTO))
    return predictor


def click(page, x, y, **options):
    """At a place of the photo, in its pixels; waits for the answer."""
    high, wide = em.read_photo(PHOTO).shape[:2]
    box = page.locator("#mask").bounding_box()
    place = {"x": x * box["width"] / wide, "y": y * box["height"] / high}
    with answered(page):
        page.locator("#mask").click(position=place, **options)


@contextmanager
def answered(page):
    """Waits until the page says something new."""
    status = page.locator("#status")
    before = status.get_attribute("data-said")
    yield
    expect(status).not_to_have_attribute("data-said", before, timeout=60_000)


def saved(page):
    """The mask that the page saves, bool [H, W]."""
    with page.expect_download() as download:
        page.locator("#save").click()
    return np.asarray(Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).convert("L")) > 0


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_clicks_in_the_browser_give_the_masks_of_python(ready, predictor):
    page = ready.page
    assert page.locator("#status").text_content().startswith("Ready")
    click(page, 300, 60)
    first = saved(page)
    answer = predictor.predict([[300, 60]], [1])
    best = answer.masks[int(np.argmax(answer.scores))]
    assert first.shape == best.shape
    assert best.sum() > 100
    assert iou(first, best) > 0.99
    click(page, 20, 20, modifiers=["Shift"])
    answer = predictor.predict([[300, 60], [20, 20]], [1, 0], multimask=False)
    assert iou(saved(page), answer.masks[0]) > 0.99
    with answered(page):
        page.locator("#undo").click()
    assert iou(saved(page), first) == 1
    page.locator("#clear").click()
    expect(page.locator("#save")).to_be_disabled()


def test_the_page_speaks_to_its_own_server_alone(ready, address):
    assert ready.complaints == []
    assert len(ready.asked) > 5
    assert all(url.startswith((address, "blob:", "data:")) for url in ready.asked)


def test_a_page_without_its_runtime_is_refused_with_a_way_out(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=r"npm install onnxruntime-web@1\.30\.0 puts it"):
        find_runtime(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    monkeypatch.setattr(page_module.shutil, "which", lambda _: "/usr/bin/npm")
    with pytest.raises(DownloadError, match="EVERYMASK_OFFLINE is set; run npm install"):
        find_runtime()
    monkeypatch.delenv("EVERYMASK_OFFLINE")
    monkeypatch.setattr(page_module.shutil, "which", lambda _: None)
    with pytest.raises(DownloadError, match="there is no npm here to fetch it; run npm install"):
        find_runtime()


def test_node_modules_above_the_working_folder_are_found(tmp_path, monkeypatch):
    dist = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name in RUNTIME:
        (dist / name).write_bytes(b"x")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert find_runtime() == dist
    assert find_runtime(dist.parent) == dist


def test_bytes_that_npm_did_not_publish_are_refused(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nmkdir -p package/dist && echo x > package/dist/a && tar czf p.tgz package\n")
    npm.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(page_module.shutil, "which", lambda _: str(npm))
    with pytest.raises(DownloadError, match="is not the published file"):
        find_runtime()
    assert not (tmp_path / "home").exists()
