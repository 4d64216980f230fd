"""A Chromium for the tests: found on the machine, or the tests are skipped; where CI is set they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def find_chromium() -> str:
    """The path of a browser. Skips the test where there is none, but fails where CI is set."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    said = "no Chromium or Chrome on this machine: the studio's page is not tested (make browser installs it)"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


@contextmanager
def launched() -> Iterator[Any]:
    """A browser, headless and without any network of its own."""
    from playwright.sync_api import sync_playwright

    find_chromium()  # skips before Playwright starts
    with sync_playwright() as playwright, launched_with(playwright.chromium) as browser:
        yield browser


@contextmanager
def launched_with(chromium: Any, *flags: str) -> Iterator[Any]:
    """One more browser of Playwright's ``chromium`` (``browser.browser_type``), with these flags besides."""
    browser = chromium.launch(executable_path=find_chromium(), args=[*FLAGS, *flags])
    yield browser
    browser.close()
