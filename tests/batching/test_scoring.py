"""A model measured in a batch: the numbers of ``everymask evaluate``, in parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import everymask as em
from everymask.batching.listing import Entry
from everymask.batching.scoring import Evaluation
from everymask.cli import main as cli
from everymask.errors import InputError, OptionError
from everymask.formats.beside import masks_named_after
from tests.batching.here import with_a_model

GRID = ["--points-per-side", "2", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three photos with label maps, one by two annotators; one without; one whose map does not fit."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number, name in enumerate(("a", "b", "c", "d", "e_1")):
        photo = np.full((48, 64, 3), 40 + number, np.uint8)
        photo[10:30, 8 + 4 * number : 30 + 4 * number] = (210, 60 + 9 * number, 60)
        labels = (photo[..., 0] == 210).astype(np.uint16)
        Image.fromarray(photo).save(f"in/{name}.jpg", quality=95)
        if name != "d":
            Image.fromarray(labels if name != "c" else labels[:9]).save(f"in/{name}_0.png")
        if name == "b":
            Image.fromarray(1 - labels).save("in/b_1.png")
    return Path("in")


def test_scores_are_those_of_evaluate_in_however_many_parts(folder, monkeypatch, capsys):
    with with_a_model(monkeypatch):
        words = ["batch", "in", "-o", "out", "--work", "evaluate", "--clicks", "2", "--photos-per-part", "1"]
        assert cli.run([*words, *GRID, "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert (told["photos"], told["failures"]) == (4, 1)
        assert told["failed"][0]["photo"] == "c.jpg"
        assert "its masks are for (9, 64), the photo is (48, 64)" in told["failed"][0]["reason"]
        (folder / "c_0.png").unlink()
        # said in words; what was done is not done again
        assert cli.run([*words, *GRID]) == 0
        said = capsys.readouterr()
        assert "click_best" in said.out
    scores = told["scores"]
    generator = em.AutomaticMaskGenerator(
        em.load("nano"), points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0
    )
    from everymask.evaluate.clicked import score_clicks
    from everymask.evaluate.data import annotated_photos
    from everymask.evaluate.everything import score_everything
    from everymask.evaluate.prompted import score_prompts

    photos = list(annotated_photos(folder))
    assert [photo.name for photo in photos] == ["a", "b", "e_1"]
    prompted = score_prompts(generator.model, photos)
    assert scores["photos"] == 3
    assert scores["regions"] == prompted.regions == 4
    for name in ("click_best", "click_top", "click_single", "box_iou", "rank_correlation"):
        assert scores[name] == pytest.approx(getattr(prompted, name), abs=1e-6)
    clicked = score_clicks(generator.model, photos, 2)
    assert scores["one_by_one"] == pytest.approx(clicked.one_by_one, abs=1e-6)
    assert scores["disobeyed_at_once"] == pytest.approx(clicked.disobeyed_at_once)
    everything = score_everything(generator, photos)
    for name in ("abo", "coverage", "edge_f", "masks_per_photo"):
        assert scores[name] == pytest.approx(getattr(everything, name), abs=1e-6)
    rows = [row for path in Path("out").glob("batch-*/parts/*") for row in pq.read_table(path).to_pylist()]
    assert {row["photo"] for row in rows} == {"a.jpg", "b.jpg", "c.jpg", "e_1.jpg"}
    assert [row["regions"] for row in rows if row["photo"] == "b.jpg"] == [2]


def test_a_photo_whose_masks_change_is_measured_anew(folder, monkeypatch):
    (folder / "c_0.png").unlink()
    with with_a_model(monkeypatch):
        first = em.batch(folder, "out", work="evaluate", only_prompts=True)
        assert (first.photos, first.done, first.failures) == (3, 3, 0)
        assert "abo" not in first.scores
        Image.fromarray(np.ones((48, 64), np.uint16)).save(folder / "a_0.png")
        second = em.batch(folder, "out", work="evaluate", only_prompts=True)
    assert (second.photos, second.done, second.kept) == (3, 1, 2)
    assert second.scores["box_iou"] != first.scores["box_iou"]


def test_one_file_of_masks_for_all_photos(folder, monkeypatch):
    masks = em.MaskSet([em.Mask.from_segmentation(np.ones((48, 64), bool))])
    masks.save("all.json", format="coco", photo="d.jpg")
    with with_a_model(monkeypatch):
        summary = em.batch("in", "out", work="evaluate", masks="all.json", only_prompts=True)
    assert (summary.photos, summary.scores["regions"]) == (1, 1)


def test_what_cannot_be_measured_is_told(folder):
    with pytest.raises(InputError, match="masks are looked for beside photos in folders of this machine"):
        Evaluation().settled(Entry("a.jpg", "s3://bucket/a.jpg"))
    with pytest.raises(InputError, match="there is no file or folder 'none' to read masks from"):
        Evaluation("none")
    with pytest.raises(OptionError, match="clicks must be from 0 to 20, got 21"):
        Evaluation(clicks=21)
    with pytest.raises(OptionError, match="clicks: for work evaluate alone"):
        em.batch("in", "out", clicks=2)
    with pytest.raises(OptionError, match="text: does not go with work evaluate"):
        em.batch("in", "out", work="evaluate", text="dog")
    with pytest.raises(OptionError, match="points_per_side: does not go with work evaluate"):
        em.batch("in", "out", work="evaluate", only_prompts=True, points_per_side=3)


def test_masks_are_found_by_the_name_of_their_photo(tmp_path):
    for name in ("a.png", "a_0.png", "a_12.json", "a_b.png", "a_b_0.png", "c.jpg"):
        (tmp_path / name).write_bytes(b"")
    found = {name: [path.name for path in files] for name, files in masks_named_after(tmp_path).items()}
    assert found["a"] == ["a.png", "a_0.png", "a_12.json"]
    assert found["a_b"] == ["a_b.png", "a_b_0.png"]
    assert "c" not in found
