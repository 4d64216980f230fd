"""The Python examples of the README and the docs run as they stand, a page a session, beside a photo.jpg."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

import everymask as em
from everymask.everything import generate
from tests.docs.pages import ROOT, examples

NANO = ROOT / "everymask" / "assets" / "nano.safetensors"
STARTED = """
import everymask as em
from everymask.maskset import Mask, MaskSet
masks = MaskSet([Mask.from_segmentation([[True, False]] * 600)])
"""


@pytest.fixture
def beside_a_photo(tmp_path, monkeypatch):
    """A folder with the photo, and a coarse grid: the examples show how, not how long."""
    if not NANO.exists():
        pytest.skip("nano's weights are not in this checkout")
    shutil.copy(ROOT / "everymask" / "assets" / "photo.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    fine = generate.grids
    coarse = lambda options: fine(dataclasses.replace(options, points_per_side=4))  # noqa: E731
    monkeypatch.setattr(generate, "grids", coarse)
    return tmp_path


def session(page: str, **names: object) -> dict[str, object]:
    """Run every example of a page in order; the names they left."""
    for code in examples(page, "python"):
        exec(compile(code, page, "exec"), names)
    return names


def test_the_tour_of_the_readme(beside_a_photo):
    left = session("README.md")
    assert left["answer"].masks.shape == (3, 400, 600)
    assert left["answer"].masks.dtype == bool
    assert all(mask.area >= 500 for mask in em.read_masks(beside_a_photo / "photo.json"))
    assert callable(left["build_sam2"])
    assert callable(left["SamPredictor"])


def test_the_tour_of_the_guide(beside_a_photo, capsys):
    left = session("docs/guide.md")
    assert left["picture"].shape == (400, 600, 3)
    assert left["answer"].masks.shape == (1, 400, 600)
    assert isinstance(left["masks"], em.MaskSet)
    assert capsys.readouterr().out.count("\n") > 3, "a line a mask"


def test_the_tour_of_exploring(beside_a_photo, capsys):
    names: dict[str, object] = {}
    for code in examples("docs/explore.md", "python"):
        coarse = code.replace("points_per_side=16", "points_per_side=4")
        assert "points_per_side=32" not in coarse
        exec(compile(coarse, "docs/explore.md", "exec"), names)
    assert isinstance(names["again"], em.Findings)
    assert len(names["again"]) == len(names["findings"]) == 5 * 16 * 3
    assert "coverage " in capsys.readouterr().out


@pytest.mark.parametrize("page", ["docs/index.md", "docs/everything.md", "docs/api/index.md"])
def test_a_page_whose_examples_stand_alone(beside_a_photo, page):
    assert "em" in session(page)


def test_the_page_of_mask_files(beside_a_photo, capsys):
    names: dict[str, object] = {}
    exec(STARTED, names)
    left = session("docs/formats.md", **names)
    assert capsys.readouterr().out == "nothing lost\n"
    assert np.array_equal(left["masks"][0].segmentation, names["masks"][0].segmentation)
    assert (beside_a_photo / "photo.png").exists()


def test_the_notebook_page(beside_a_photo, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    left = session("docs/notebook.md")
    assert left["both"].photo == "photo.jpg"
    assert left["axes"].get_title() == "every object"
    assert left["table"].index[0] == 1
    matplotlib.pyplot.close("all")
