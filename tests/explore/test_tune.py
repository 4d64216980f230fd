import numpy as np
import pytest
from PIL import Image

import everymask as em
from everymask.errors import InputError, OptionError
from everymask.everything.options_file import read_options, write_options
from everymask.explore.goals import Wish
from everymask.explore.references import find_examples
from everymask.explore.report import page
from everymask.explore.tune import halves, tune
from everymask.models.load import load

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def model():
    return load("nano", device="cpu")


@pytest.fixture
def folder(tmp_path):
    """Four photos with one bright square each, and its label map beside it."""
    for number in range(4):
        photo, labels = np.full((48, 64, 3), 40, np.uint8), np.zeros((48, 64), np.uint8)
        x = 8 + 8 * number
        photo[12:36, x : x + 24], labels[12:36, x : x + 24] = 220, 1
        Image.fromarray(photo).save(tmp_path / f"p{number}.jpg")
        Image.fromarray(labels).save(tmp_path / f"p{number}_0.png")
    return tmp_path


def test_tuned_options_are_told_on_photos_kept_aside_and_no_worse_than_any_trial(folder, model):
    tuning = tune(folder, folder, model, trials=12, points_per_side=[3, 4])
    assert tuning.tuned_on == ("p0.jpg", "p2.jpg")
    assert [told.example.name for told in tuning.told] == ["p1.jpg", "p3.jpg"]
    assert tuning.is_held_out
    assert len(tuning.trials) == 24
    best = max(tuning.trials, key=lambda trial: trial.score)
    assert tuning.options == best.options
    defaults = [
        t for t in tuning.trials if t.options["pred_iou_thresh"] == model.spec.generator["pred_iou_thresh"]
    ]
    assert defaults, "the model's own options are tried too"
    again = em.AutomaticMaskGenerator(model, **tuning.options).generate(em.read_photo(folder / "p1.jpg"))
    assert [m.rle for m in again] == [m.rle for m in tuning.told[0].masks_after]


def test_search_goes_on_where_it_was_stopped(folder, model, tmp_path):
    study = tmp_path / "study"
    first = tune(folder, folder, model, trials=4, study=study, points_per_side=3)
    stamps = {path: path.stat().st_mtime_ns for path in study.glob("*.findings")}
    assert len(stamps) == 2
    more = tune(folder, folder, model, trials=6, study=study, points_per_side=3)
    assert [trial.options for trial in more.trials[:4]] == [trial.options for trial in first.trials]
    assert len(more.trials) == 6
    assert {path: path.stat().st_mtime_ns for path in study.glob("*.findings")} == stamps


def test_other_masks_begin_another_search_and_other_photos_ask_only_about_those(folder, model, tmp_path):
    study = tmp_path / "study"
    first = tune(folder, folder, model, trials=3, study=study, points_per_side=3)
    asked = {path: path.stat().st_mtime_ns for path in study.glob("*.findings")}
    labels = np.zeros((48, 64), np.uint8)
    labels[:4, :4] = 1
    Image.fromarray(labels).save(folder / "p0_0.png")
    other = tune(folder, folder, model, trials=3, study=study, points_per_side=3)
    assert other.trials[0].options == first.trials[0].options
    assert other.trials[0].score != first.trials[0].score
    Image.fromarray(np.full((48, 64, 3), 9, np.uint8)).save(folder / "p5.jpg")
    Image.fromarray(labels).save(folder / "p5_0.png")
    tune(folder, folder, model, trials=1, study=study, points_per_side=3)
    stamps = {path: path.stat().st_mtime_ns for path in study.glob("*.findings")}
    assert asked.items() < stamps.items()
    assert len(stamps) == 3


def test_a_search_stopped_at_its_first_trial_tries_the_defaults_again(folder, model, tmp_path):
    def stop(what, number, of):
        if what == "tried thresholds":
            raise KeyboardInterrupt

    study = tmp_path / "study"
    with pytest.raises(KeyboardInterrupt):
        tune(folder, folder, model, trials=2, study=study, points_per_side=3, progress=stop)
    said = []
    tuning = tune(
        folder,
        folder,
        model,
        trials=2,
        study=study,
        points_per_side=3,
        progress=lambda *each: said.append(each),
    )
    assert len(tuning.trials) == 2
    usual = model.spec.generator["pred_iou_thresh"]
    assert usual in [trial.options["pred_iou_thresh"] for trial in tuning.trials]
    assert [each[1:] for each in said if each[0] == "tried thresholds"] == [(1, 2), (2, 2)]


def test_without_masks_a_wish_is_tuned_for(folder, model):
    tuning = tune(folder, model=model, goal=Wish({"count": 1}, count=(1, 2)), trials=6, points_per_side=3)
    assert 0 <= tuning.after <= 1
    assert max(trial.score for trial in tuning.trials) == max(t.score for t in tuning.trials)
    assert "wish" in page(tuning)


def test_options_are_written_for_every_command(folder, model, tmp_path):
    tuning = tune(folder, folder, model, trials=3, points_per_side=3)
    path = tuning.save(tmp_path / "tuned.toml")
    assert read_options(path) == tuning.options
    assert 'model = "nano"' in path.read_text("utf-8")
    report = page(tuning)
    assert "photos kept aside" in report
    assert report.count("data:image/png;base64,") == 1 + 2
    assert "http" not in report


def test_one_photo_is_tuned_on_and_told_on_and_that_is_said(folder, model):
    for name in ("p1", "p2", "p3"):
        (folder / f"{name}.jpg").unlink()
    tuning = tune(folder, folder, model, trials=2, points_per_side=3)
    assert not tuning.is_held_out
    assert "too few to keep any aside" in page(tuning)


def test_annotations_beside_photos_are_no_photos(folder):
    examples, problems = find_examples(folder, folder)
    assert [example.name for example in examples] == ["p0.jpg", "p1.jpg", "p2.jpg", "p3.jpg"]
    assert problems == []
    assert [example.references[0].areas.tolist() for example in examples] == [[24 * 24]] * 4


def test_masks_of_another_size_are_named_and_left_out(folder):
    Image.fromarray(np.ones((5, 5), np.uint8)).save(folder / "p1_0.png")
    examples, problems = find_examples(folder, folder)
    assert [example.name for example in examples] == ["p0.jpg", "p2.jpg", "p3.jpg"]
    assert problems == ["p1.jpg: its masks are for (5, 5), the photo is (48, 64) (height, width)"]


def test_photos_without_masks_are_named(folder):
    for number in (1, 3):
        (folder / f"p{number}_0.png").unlink()
    examples, problems = find_examples(folder, folder, all_have_masks=True)
    assert [example.name for example in examples] == ["p0.jpg", "p2.jpg"]
    assert problems == ["no masks for p1.jpg, p3.jpg"]
    assert find_examples(folder, folder)[1] == []


def test_photos_that_cannot_be_read_are_named_and_left_out(folder):
    (folder / "p1.jpg").write_text("no photo")
    examples, problems = find_examples(folder, None)
    assert [example.name for example in examples] == ["p0.jpg", "p2.jpg", "p3.jpg"]
    assert len(problems) == 1
    assert problems[0].startswith("p1.jpg: ")


def test_folders_that_do_not_fit_are_refused(folder, model, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"has no NAME\.json, NAME\.png or NAME_0\.png of their names"):
        tune(folder, empty, model)
    with pytest.raises(InputError, match=r"there is no photo in .*; name a folder of photos"):
        tune(empty, folder, model)
    others = empty / "coco.json"
    em.MaskSet([em.Mask.from_segmentation(np.ones((48, 64), bool))], (48, 64)).save(others)
    with pytest.raises(InputError, match=r"coco\.json' has masks for other photos only"):
        tune(folder, others, model)
    with pytest.raises(InputError, match="expected a folder of photos"):
        tune(folder / "p0.jpg", model=model)
    with pytest.raises(InputError, match="there is no file or folder"):
        tune(folder, folder / "nothing.json", model)


def test_goals_that_do_not_fit_are_refused(folder, model):
    with pytest.raises(OptionError, match="'recall' needs reference masks"):
        tune(folder, model=model, goal="recall")
    with pytest.raises(OptionError, match="not a wish"):
        tune(folder, folder, model, goal=Wish())
    with pytest.raises(OptionError, match="or a Wish; got 'best'"):
        tune(folder, folder, model, goal="best")
    with pytest.raises(OptionError, match="trials must be at least 1, got 0"):
        tune(folder, folder, model, trials=0)


def test_every_other_photo_is_kept_aside(folder):
    examples, _ = find_examples(folder, None)
    seen, held = halves(examples)
    assert not {example.name for example in seen} & {example.name for example in held}
    assert len(seen) == len(held) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[generator]\npoints = 3\n", "unknown option points"),
        ("[generator]\npred_iou_thresh = 3\n", "pred_iou_thresh must be between 0 and 1, got 3"),
        ("points_per_side = 3\n", r"must have its options under \[generator\]"),
        ("[generator\n", "is no TOML file"),
    ],
)
def test_file_of_options_that_is_wrong_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "options.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(OptionError, match=message) as refused:
        read_options(path)
    assert "options.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file_of_options_comes_back(tmp_path):
    options = {"points_per_side": 16, "pred_iou_thresh": 0.5, "use_m2m": True}
    about = {"note": 'a "quoted" word\\'}
    assert read_options(write_options(tmp_path / "a" / "o.toml", options, about)) == options
    with pytest.raises(OptionError, match="got points"):
        write_options(tmp_path / "o.toml", {"points": 1})
    with pytest.raises(OptionError, match="options are read from a TOML file"):
        read_options(tmp_path / "nothing.toml")
