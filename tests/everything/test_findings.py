"""Findings answer as the generator does, mask for mask, without the model."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import everymask as em
from everymask.errors import InputError, OptionError, SessionError
from everymask.everything import findings as findings_module
from everymask.everything import measuring
from everymask.everything.candidate_pool import LogitStore
from everymask.everything.findings import Findings
from everymask.everything.selection import Boxes, settled
from everymask.masks.box_bounds import Bounds
from everymask.masks.nms import suppress
from tests.everything.test_generate import seeded

PHOTO = Path(__file__).parents[2] / "everymask" / "assets" / "photo.jpg"
KINDS = {
    "nano": {"points_per_side": 7},
    "nano, crops": {"points_per_side": 5, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "nano, m2m": {"points_per_side": 4, "use_m2m": True},
    "nano, single": {"points_per_side": 6, "multimask_output": False},
    "nano, renditions": {"points_per_side": 4, "renditions": "plain+inverted", "crop_n_layers": 1},
    "nano, bf16": {"points_per_side": 6, "effort": "bf16"},
    "sam": {"points_per_side": 4, "crop_n_layers": 1},
    "sam2": {"points_per_side": 4, "stability_score_offset": 0.01},
}
# bfloat16 is emulated where there are no units for it: half a minute.
EACH_KIND = [pytest.param(kind, marks=[pytest.mark.full] if "bf16" in kind else []) for kind in KINDS]


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(em.read_photo(PHOTO)[::3, ::3])


@pytest.fixture(scope="module")
def nano():
    torch.set_num_threads(1)
    return em.load("nano", device="cpu", dtype=torch.float32)


def test_the_first_question_about_small_regions_finds_them_known(nano, photo, monkeypatch):
    findings = em.AutomaticMaskGenerator(nano, points_per_side=4).explore(photo)
    looked = []
    monkeypatch.setattr(measuring, "find_specks", lambda logits, *how: looked.append(len(logits)))
    assert len(findings.masks(min_mask_region_area=40)) > 0
    assert looked == []


def test_exploring_measures_the_stability_of_the_best_for_a_part_of_its_time(nano, photo, monkeypatch):
    monkeypatch.setattr(findings_module, "AHEAD", 1e9)
    findings = em.AutomaticMaskGenerator(nano, points_per_side=4, pred_iou_thresh=0.3).explore(photo)
    options = findings.options
    scores = findings_module.MeasuredScores(findings, options)
    assert scores.scored().tolist() == (scores.iou > 0.3).tolist()
    monkeypatch.setattr(findings_module, "AHEAD", 0.0)
    findings = em.AutomaticMaskGenerator(nano, points_per_side=4, pred_iou_thresh=0.3).explore(photo)
    assert not findings_module.MeasuredScores(findings, options).scored().any()


@pytest.fixture(scope="module")
def found(nano, photo):
    """Findings of each kind, made once, with the generator's model."""
    made = {}

    def of(kind):
        if kind not in made:
            model = nano if kind.startswith("nano") else seeded(kind)
            generator = em.AutomaticMaskGenerator(model, **KINDS[kind])
            made[kind] = model, generator.explore(photo, lowest=-12.0)
        return made[kind]

    return of


def said(masks):
    """All of a mask set as text: not a number is equal to itself there."""
    return json.dumps(masks.to_dicts("coco_rle"))


def share(low, high):
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 3))


thresholds = st.fixed_dictionaries(
    {},
    optional={
        "pred_iou_thresh": share(0.0, 0.9),
        "stability_score_thresh": share(0.0, 0.99),
        "stability_score_offset": share(0.0, 4.0),
        "mask_threshold": share(-5.0, 4.0),
        "box_nms_thresh": share(0.0, 1.0),
        "crop_nms_thresh": share(0.0, 1.0),
        "mask_nms_thresh": share(0.0, 1.0),
        "min_mask_region_area": st.sampled_from([0, 1, 9, 60, 5000]),
    },
)


@pytest.mark.parametrize("kind", EACH_KIND)
@settings(
    deadline=None,
    max_examples=6,
    derandomize=True,
    phases=[Phase.generate],  # options shrink slowly, and a failing example is short as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(options=thresholds)
def test_findings_answer_as_the_generator_does(kind, options, found, photo):
    model, findings = found(kind)
    expected = em.AutomaticMaskGenerator(model, **{**KINDS[kind], **options}).generate(photo)
    assert said(findings.masks(**options)) == said(expected)


def test_own_options_are_the_default(found, photo):
    model, findings = found("nano")
    expected = em.AutomaticMaskGenerator(model, **KINDS["nano"]).generate(photo)
    assert len(expected) > 3
    assert said(findings.masks()) == said(expected)


def test_fewer_layers_of_crops_are_answered_too(found, photo):
    model, findings = found("nano, crops")
    expected = em.AutomaticMaskGenerator(model, points_per_side=5).generate(photo)
    assert said(findings.masks(crop_n_layers=0)) == said(expected)


def test_every_candidate_is_there(found):
    _, findings = found("nano")
    assert len(findings) == 7 * 7 * 3
    assert findings.points == 49
    assert repr(findings).startswith("Findings(147 candidates of a 200 x 134 photo, by nano, ")


def test_extending_by_a_layer_of_crops_gives_what_a_run_with_it_gives(nano, photo):
    findings = em.AutomaticMaskGenerator(nano, points_per_side=4).explore(photo)
    findings.masks(pred_iou_thresh=0.1)
    findings.extend(crop_n_layers=1)
    assert findings.options.crop_n_layers == 1
    deeper = em.AutomaticMaskGenerator(nano, points_per_side=4, crop_n_layers=1)
    for options in ({}, {"pred_iou_thresh": 0.1}):
        again = em.AutomaticMaskGenerator(nano, points_per_side=4, crop_n_layers=1, **options)
        assert said(findings.masks(**options)) == said(again.generate(photo))
    assert len(findings) == len(deeper.explore(photo))


def test_extending_by_points_gives_what_a_run_with_both_grids_gives(nano, photo):
    # 8 x 8 points are two whole tiles, so that the second grid is decoded in the same company.
    findings = em.AutomaticMaskGenerator(nano, points_per_side=8).explore(photo)
    findings.extend(points_per_side=5, crop_n_layers=1)
    grids = findings.options.point_grids
    assert [len(grid) for grid in grids] == [64 + 25, 64 + 25]
    both = em.AutomaticMaskGenerator(nano, point_grids=grids, crop_n_layers=1).generate(photo)
    assert said(findings.masks()) == said(both)


def test_extending_that_stops_leaves_the_findings_as_they_were(nano, photo):
    findings = em.AutomaticMaskGenerator(nano, points_per_side=3).explore(photo)
    before, expected = len(findings), findings.masks()

    def stop(state):
        if state.crop == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        findings.extend(crop_n_layers=1, progress=stop)
    assert (len(findings), len(findings.crops)) == (before, 1)
    assert said(findings.masks()) == said(expected)
    findings.extend(crop_n_layers=1)
    assert len(findings) == 5 * before


@pytest.mark.parametrize("kind", ["nano, crops", "sam2"])
def test_saved_findings_answer_alike_and_can_be_extended(kind, found, photo, tmp_path):
    model, findings = found(kind)
    path = findings.save(tmp_path / "photo.findings")
    loaded = Findings.load(path, model, photo)
    alone = Findings.load(path)
    for options in ({}, {"mask_threshold": -1.0, "pred_iou_thresh": 0.1, "min_mask_region_area": 9}):
        expected = findings.masks(**options)
        assert said(loaded.masks(**options)) == said(expected)
        assert said(alone.masks(**options)) == said(expected)
    loaded.extend(points_per_side=2)
    assert len(loaded) > len(findings)
    expected = loaded.masks()
    assert said(Findings.load(loaded.save(path)).masks()) == said(expected)
    with pytest.raises(SessionError, match=r"without their model and photo.*Findings\.load"):
        alone.extend(points_per_side=2)


def test_files_of_the_format_before_are_read(found, tmp_path):
    _, findings = found("sam2")
    path = findings.save(tmp_path / "new.findings")
    tensors = load_file(path)
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    before = {name: value for name, value in tensors.items() if not name.endswith("_floors")}
    metadata["format"] = "everymask findings 2"
    save_file(before, tmp_path / "old.findings", metadata)
    old = Findings.load(tmp_path / "old.findings")
    np.testing.assert_array_equal(old._pool.columns.row_floors, findings._pool.columns.row_floors)
    np.testing.assert_array_equal(old._pool.columns.column_floors, findings._pool.columns.column_floors)
    options = {"mask_threshold": 0.4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    assert said(old.masks(**options)) == said(findings.masks(**options))


def test_a_file_without_some_of_its_columns_is_damaged(found, tmp_path):
    path = found("sam2")[1].save(tmp_path / "a.findings")
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    tensors = {name: value for name, value in load_file(path).items() if name != "row_floors"}
    save_file(tensors, path, metadata)
    with pytest.raises(SessionError, match="or is damaged: columns are missing"):
        Findings.load(path)


def test_findings_of_another_photo_or_model_are_refused(found, nano, photo, tmp_path):
    model, findings = found("sam2")
    path = findings.save(tmp_path / "a.findings")
    with pytest.raises(SessionError, match=r"with weights [0-9a-f]{12}, this model is 'nano'"):
        Findings.load(path, nano, photo)
    with pytest.raises(SessionError, match="another photo of the same size"):
        Findings.load(path, model, 255 - photo)
    with pytest.raises(SessionError, match="a photo of 200 x 134 pixels, this one has 134 x 200"):
        Findings.load(path, model, np.ascontiguousarray(photo.transpose(1, 0, 2)))


def test_files_that_are_no_findings_are_refused(found, tmp_path):
    with pytest.raises(SessionError, match="there is no findings file"):
        Findings.load(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(SessionError, match="is not a findings file"):
        Findings.load(tmp_path / "text")
    path = found("nano")[1].save(tmp_path / "short")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SessionError, match="is not a findings file, or is damaged"):
        Findings.load(path)


def test_what_findings_cannot_tell_is_one_error(found, nano, photo):
    _, findings = found("nano")
    with pytest.raises(OptionError, match=r"points_per_side decides what the model is asked.*extend"):
        findings.masks(points_per_side=9)
    with pytest.raises(OptionError, match=r"keep logits down to -12.*explore the photo with lowest=-14"):
        findings.masks(mask_threshold=-13.0, stability_score_offset=1.0)
    with pytest.raises(OptionError, match="did you mean pred_iou_thresh"):
        findings.masks(pred_iou_tresh=0.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        findings.masks(pred_iou_thresh=2.0)
    with pytest.raises(OptionError, match="effort='fast'"):
        em.AutomaticMaskGenerator(nano, effort="fast").explore(photo)
    with pytest.raises(OptionError, match="lowest must be at most -1"):
        em.AutomaticMaskGenerator(nano).explore(photo, lowest=0.0)


def test_all_logits_can_be_kept(nano, photo):
    findings = em.AutomaticMaskGenerator(nano, points_per_side=2).explore(photo, lowest=-np.inf)
    options = {"mask_threshold": -14.0, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    expected = em.AutomaticMaskGenerator(nano, points_per_side=2, **options).generate(photo)
    assert said(findings.masks(**options)) == said(expected)


def test_logits_beyond_the_limit_lie_in_a_file_and_answer_alike(nano, photo):
    generator = em.AutomaticMaskGenerator(nano, points_per_side=10)
    spilled = generator.explore(photo, bytes_kept=100_000)
    assert spilled._pool.store.bytes_in_memory <= 100_000
    assert spilled._pool.store._mapped > 0
    assert said(spilled.masks()) == said(generator.generate(photo))
    with tempfile.TemporaryDirectory() as folder:
        again = Findings.load(spilled.save(Path(folder) / "spilled"))
        assert said(again.masks()) == said(spilled.masks())
        del again


@given(
    sizes=st.lists(st.integers(0, 9), max_size=20),
    limit=st.integers(0, 120),
    first=st.integers(0, 5),
)
@settings(deadline=None, max_examples=50)
def test_a_store_gives_back_what_was_put_in(sizes, limit, first):
    values = np.arange(sum(sizes) + first, dtype=np.float32)
    store = LogitStore.of(values[:first], limit)
    place = first
    for size in sizes:
        assert store.add(values[place : place + size].copy()) == place
        assert store.bytes_in_memory <= limit
        place += size
    assert len(store) == len(values)
    place = first
    for size in sizes:
        assert store.read(place, size).tolist() == values[place : place + size].tolist()
        place += size
    assert np.concatenate([np.zeros(0), *store.parts()]).tolist() == values.tolist()


class Known:
    """Scores whose boxes are given, and lie so far from their bounds."""

    def __init__(self, boxes, room):
        self._boxes = boxes
        side = np.array([1, 1, -1, -1])
        self._bounds = Bounds(boxes + side * room, boxes - side * room)

    def boxes(self, numbers):
        return self._boxes[numbers]

    def bounds(self, numbers):
        return self._bounds


def test_where_all_are_unstable_few_rounds_find_it():
    corners = np.arange(600)[:, None] * np.array([[1, 0]])
    boxes = np.concatenate([corners, corners + 600], axis=1)
    rounds: list[int] = []

    def tell(which):
        rounds.append(len(which))
        return np.zeros(len(which), bool)

    measured = Boxes(Known(boxes, np.zeros(boxes.shape, int)), np.arange(600))
    assert settled(measured, np.linspace(1, 0, 600), 0.1, tell).tolist() == []
    assert sum(rounds) == 600
    assert len(rounds) < 20


def test_few_more_are_asked_where_a_stable_one_suppresses_the_others():
    corners = np.arange(600)[:, None] * np.array([[0.01, 0]])
    boxes = np.concatenate([corners, corners + 600], axis=1)
    asked: list[int] = []

    def tell(which):
        asked.extend(which.tolist())
        return which >= 20

    measured = Boxes(Known(boxes, np.zeros(boxes.shape, int)), np.arange(600))
    assert len(settled(measured, np.linspace(1, 0, 600), 0.1, tell)) == 1
    assert len(asked) < 60


def test_measuring_last_leaves_what_measuring_first_does():
    rng = np.random.default_rng(0)
    for _ in range(60):
        corners = rng.integers(0, 12, (20, 2))
        boxes = np.concatenate([corners, corners + rng.integers(1, 9, (20, 2))], axis=1)
        iou, stable = rng.random(20).astype(np.float32), rng.random(20) < 0.6
        passes = np.flatnonzero(stable)
        expected = passes[suppress(boxes[passes], iou[passes], 0.3)].tolist()
        asked: list[int] = []

        def tell(which, stable=stable, asked=asked):
            asked += which.tolist()
            return stable[which]

        measured = Boxes(Known(boxes, rng.integers(0, 2, boxes.shape)), np.arange(20))
        assert settled(measured, iou, 0.3, tell).tolist() == expected
        assert len(asked) == len(set(asked))
