"""The tracker's memory after undo, a restart, a crash: the masks that follow are equal, not near."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

import everymask as em
from everymask.studio.clips import memory as memory_module
from everymask.studio.clips.memory import ClipMemory, Digest
from everymask.video.snapshot import Snapshot
from tests.studio.clip_scene import box_at, disc_at, write_clip
from tests.studio.harness import Studio, running

LENGTH = 12


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "run.mp4", LENGTH)


def masks(studio: Studio) -> dict[str, str]:
    """All masks of the clip by key."""
    return {key: value["counts"] for key, value in studio.get(f"/api/clips/1/masks?last={LENGTH}").items()}


def undo(studio: Studio) -> None:
    version = studio.get("/api/clips/1")["version"]
    assert studio.client.post("/api/clips/1/undo", json={"version": version}).status_code == 200


def begin(studio: Studio) -> None:
    """Two objects, the disc by a click and the box by a box, tracked half-way."""
    x, y, _ = disc_at(0)
    studio.act_on_clip(1, type="click", frame=0, x=x, y=y)
    studio.act_on_clip(1, type="box", frame=0, box=box_at(0))
    studio.track(1, 0, count=6)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, clip_file: Path, model_: em.PromptableModel) -> Any:
    """What comes without any detour, by the library alone."""
    (x, y, _), box = disc_at(0), box_at(0)
    with em.VideoTracker(model_).open(clip_file) as session:
        session.add_prompt(0, 1, points=[(x, y)])
        session.add_prompt(0, 2, box=box)
        shown = [frame.object_masks() for frame in session.propagate(0)]
    from everymask.masks.rle import to_coco

    return {
        f"mask/{frame}/{number}": to_coco(mask.rle)["counts"]
        for frame, objects in enumerate(shown)
        for number, mask in objects.items()
    }


@pytest.fixture(scope="module")
def model_() -> em.PromptableModel:
    return em.load("nano", device="cpu")


def wander(studio: Studio) -> None:
    """A wrong correction, tracked on; then all of it is taken back."""
    studio.act_on_clip(1, type="click", frame=6, object=1, x=5, y=5)
    studio.track(1, 6, count=2)
    undo(studio)
    undo(studio)


def look_away(studio: Studio) -> None:
    """The other object is followed alone, and that taken back."""
    studio.act_on_clip(1, type="lock", objects=[1])
    studio.track(1, 6, count=2)
    undo(studio)
    studio.act_on_clip(1, type="lock", objects=[1], locked=False)


def name_them(studio: Studio) -> None:
    """Nothing that the model hears of."""
    studio.act_on_clip(1, type="label", objects=[1, 2], label="thing")


def click_and_take_away(studio: Studio) -> None:
    """A prompt, removed as a prompt, not by undo."""
    studio.act_on_clip(1, type="click", frame=6, object=1, x=5, y=5)
    studio.act_on_clip(1, type="remove_prompt", frame=6, object=1, index=0)


def be_refused(studio: Studio) -> None:
    """A click beside the frame."""
    version = studio.get("/api/clips/1")["version"]
    action = {"type": "click", "frame": 6, "object": 1, "x": 9999, "y": 5}
    answer = studio.client.post("/api/clips/1/actions", json={"version": version, "action": action})
    assert answer.status_code == 422


@pytest.mark.parametrize("detour", [wander, look_away, click_and_take_away, be_refused])
def test_what_is_taken_back_leaves_no_trace(
    tmp_path: Path, clip_file: Path, model_: em.PromptableModel, plain: Any, detour: Callable[[Studio], None]
):
    shutil.copy(clip_file, tmp_path)
    with running(tmp_path, model_) as studio:
        begin(studio)
        detour(studio)
        studio.track(1, 6)
        assert masks(studio) == plain


def test_a_restart_goes_on_to_equal_masks_and_undo_reaches_behind_it(
    tmp_path: Path, clip_file: Path, model_: em.PromptableModel, plain: Any
):
    shutil.copy(clip_file, tmp_path)
    with running(tmp_path, model_) as studio:
        begin(studio)
        studio.act_on_clip(1, type="click", frame=6, object=1, x=5, y=5)
    with running(tmp_path, model_) as studio:
        undo(studio)
        name_them(studio)
        studio.track(1, 6)
        assert masks(studio) == plain


def test_forgotten_frames_are_tracked_anew_to_equal_masks(
    tmp_path: Path, clip_file: Path, model_: em.PromptableModel, plain: Any
):
    shutil.copy(clip_file, tmp_path)
    with running(tmp_path, model_) as studio:
        begin(studio)
        studio.act_on_clip(1, type="click", frame=6, object=1, x=5, y=5)
        studio.track(1, 6)
        studio.act_on_clip(1, type="forget", objects=[1, 2], first=4, last=LENGTH)
        studio.track(1, 3)
        assert masks(studio) == plain


def test_a_broken_file_of_memories_is_begun_anew(
    tmp_path: Path, clip_file: Path, model_: em.PromptableModel, plain: Any
):
    shutil.copy(clip_file, tmp_path)
    with running(tmp_path, model_) as studio:
        begin(studio)
    (tmp_path / "everymask-studio.memory").write_bytes(b"no database" * 1000)
    with running(tmp_path, model_) as studio:
        studio.track(1, 6)
        near = masks(studio)
    assert near.keys() == plain.keys()
    with closing(sqlite3.connect(tmp_path / "everymask-studio.memory")) as file:
        assert file.execute("SELECT count(*) FROM snapshots").fetchone()[0] > 0


def snapshot(*values: torch.Tensor) -> Snapshot:
    return Snapshot([], {f"1.masks.{place}": value for place, value in enumerate(values)})


def test_the_newest_snapshots_stay_within_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cpu = torch.device("cpu")
    kept = ClipMemory(tmp_path / "a.memory", 1)
    shared = torch.arange(1000.0)
    for number in range(20):
        kept.keep(str(number), snapshot(shared, torch.full((4,), float(number))), step=True)
    for number in range(5):
        kept.keep(f"frame {number}", snapshot(shared), step=False)
    kept.close()
    kept = ClipMemory(tmp_path / "a.memory", 1)  # as after a crash
    found = kept.at("0", cpu)
    assert found is not None
    assert torch.equal(found.tensors["1.masks.0"], shared)
    assert found.tensors["1.masks.1"].tolist() == [0.0] * 4
    assert [kept.at(f"frame {number}", cpu) is not None for number in range(5)] == [False] * 3 + [True] * 2
    other = ClipMemory(tmp_path / "a.memory", 2)
    assert other.is_empty
    other.close()
    monkeypatch.setattr(memory_module, "LIMIT_BYTES", 4100)
    kept.keep("last", snapshot(shared, torch.zeros(4)), step=True)
    assert kept.at("last", cpu) is not None
    assert kept.at("19", cpu) is None
    kept.close()
    kept.keep("late", snapshot(shared), step=True)  # a run that was under way
    assert kept.at("late", cpu) is None


def test_a_digest_tells_records_apart_and_forgets_their_order():
    digest = Digest()
    mask, prompt = {"counts": "a"}, {"steps": [1]}
    one = digest({"mask/0/1": mask, "prompt/0/1": prompt, "object/1": {"label": None}})
    assert digest({"prompt/0/1": prompt, "mask/0/1": dict(mask), "object/1": {"label": "x"}}) == one
    assert digest({"mask/1/1": mask, "prompt/0/1": prompt}) != one
    assert digest({"mask/0/1": {"counts": "b"}, "prompt/0/1": prompt}) != one
    assert Digest()({"mask/0/1": mask, "prompt/0/1": prompt}) == one
