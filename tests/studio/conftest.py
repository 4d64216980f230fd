"""What the studio's tests share: the model, a studio on three photos, a browser, an open page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import everymask as em
from tests.studio.browser import launched
from tests.studio.harness import Studio, running
from tests.studio.scene import make_folder


@pytest.fixture(scope="session")
def model() -> em.PromptableModel:
    return em.load("nano", device="cpu")


@pytest.fixture
def studio(tmp_path: Path, model: em.PromptableModel) -> Iterator[Studio]:
    with running(make_folder(tmp_path / "photos"), model) as studio:
        yield studio


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser
