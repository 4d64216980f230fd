"""Clips in a batch: the masks of track, a row a clip; tables of prompts; their formats."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import everymask as em
from everymask.batching.clips import Clips
from everymask.batching.listing import Entry
from everymask.batching.prompt_table import read_prompt_table
from everymask.batching.task import Task
from everymask.cli import main as cli
from everymask.errors import FormatError, OptionError, PromptError
from everymask.formats.clip_rows import clips_of, holds_clips
from everymask.formats.video_reading import read_clip_masks
from everymask.video.prompting import Said
from tests.batching.files import save_clip
from tests.batching.here import with_a_model

pytest.importorskip("av", reason="needs PyAV")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_clip(tmp_path / "in" / "a.mkv")
    save_clip(tmp_path / "in" / "deep" / "b.mkv", start=30)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no clip at all")
    (tmp_path / "in" / "photo.png").write_bytes(b"not looked at")
    return tmp_path


@pytest.fixture
def real(monkeypatch):
    """Batches without Ray, with the model that was asked for."""
    with with_a_model(monkeypatch):
        yield


TABLE = """clip,frame,object,x,y,label,x0,y0,x1,y1,name
a.mkv,1,1,20,30,,,,,,square
deep/b.mkv,2,3,,,,34,20,55,41,
"""


def test_clips_with_a_table_of_prompts_have_the_masks_of_track(here, real, capsys):
    Path("prompts.csv").write_text(TABLE)
    words = ["batch", "in", "-r", "-o", "out", "--work", "track", "--prompts", "prompts.csv"]
    assert cli.run([*words, "--photos-per-part", "1"]) == 0
    assert "2 clips, 7 masks now" in capsys.readouterr().err
    assert cli.run(["convert", "out", "-f", "sa-v", "-o", "masks"]) == 0
    assert cli.run(["track", "in/a.mkv", "-p", "1:20,30@1=square", "-f", "sa-v", "-o", "own"]) == 0
    assert cli.run(["track", "in/deep/b.mkv", "-b", "2:34,20,55,41@3", "-f", "sa-v", "-o", "other"]) == 0
    assert Path("masks/a_sa_v.json").read_bytes() == Path("own/a_sa_v.json").read_bytes()
    assert Path("masks/deep/b_sa_v.json").read_bytes() == Path("other/b_sa_v.json").read_bytes()
    clip = read_clip_masks(Path("masks/a_sa_v.json"))
    assert sorted(clip.frames) == [0, 1, 2, 3]
    assert clip.frames[3][1].rle.area > 0
    assert cli.run(["convert", "out", "-f", "sa-v", "-o", "masks"]) == 2
    assert "is there already" in capsys.readouterr().err

    # other prompts of one clip: this clip is done anew, the other one stays
    Path("prompts.csv").write_text(TABLE.replace("34,20,55,41", "30,18,56,42"))
    assert cli.run([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["photos"], facts["kept"], facts["done"]) == (2, 1, 1)


def test_every_object_of_clips_is_followed_and_a_broken_clip_is_a_row(here, real, capsys):
    summary = em.batch("in", "out", work="track", look_every=0, most_objects=2)
    assert (summary.photos, summary.done, summary.failures) == (2, 2, 1)
    assert summary.failed[0][0] == "broken.mp4"
    assert "/" not in summary.failed[0][1]
    (part,) = Path("out").glob("batch-*/parts/*.parquet")
    assert holds_clips(part)
    (clip,) = clips_of(part)
    track = ["track", "in/a.mkv", "--everything", "--look-every", "0", "--most-objects", "2", "-f", "sa-v"]
    assert cli.run([*track, "-o", "own"]) == 0
    own = read_clip_masks(Path("own/a_sa_v.json"))
    assert clip.name == "a.mkv"
    assert sorted(clip.frames) == sorted(own.frames)
    for frame, objects in own.frames.items():
        for number, mask in objects.items():
            assert clip.frames[frame][number].rle.same_as(mask.rle)


def test_words_that_are_on_no_frame_give_a_clip_without_masks(here, real):
    summary = em.batch("in/a.mkv", "out", work="track", text="zebra", look_every=0)
    assert (summary.done, summary.failures, summary.masks) == (1, 0, 0)
    (part,) = Path("out").glob("batch-*/parts/*.parquet")
    (clip,) = clips_of(part)
    assert clip.frames == {}
    assert clip.length == 4


def test_a_table_says_by_clip_what_is_meant(tmp_path):
    Path(tmp_path / "t.csv").write_text(TABLE)
    said = read_prompt_table(tmp_path / "t.csv")
    assert said == {
        "a.mkv": ((Said(0, 1, ((20.0, 30.0),), (1,), None), "square"),),
        "deep/b.mkv": ((Said(1, 3, (), (), (34.0, 20.0, 55.0, 41.0)), None),),
    }
    pq.write_table(
        pa.table({"clip": ["a"] * 2, "frame": [1, 1], "x": [1, 2], "y": [3, 4], "label": [1, 0]}),
        tmp_path / "t.parquet",
    )
    (one,) = read_prompt_table(tmp_path / "t.parquet")["a"]
    assert one == (Said(0, 1, ((1.0, 3.0), (2.0, 4.0)), (1, 0), None), None)
    entry = Clips(prompts=said).settled(Entry("a.mkv", "in/a.mkv", stamp="s"))
    assert entry.stamp.startswith("s-")
    assert Clips(prompts=said).settled(Entry("c.mkv", "in/c.mkv")) is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("clip,frame,size\na,1,3", "must have columns of clip, frame"),
        ("clip,x,y\na,1,3", "must have columns of clip, frame"),
        ("clip,frame,x,y\n,1,3,4", "row 1 of t.csv names no clip"),
        ("clip,frame,x,y\na,0,3,4", "frame of row 1 of t.csv must be a whole number from 1, got '0'"),
        ("clip,frame,x,y\na,one,3,4", "frame of row 1 of t.csv must be a whole number"),
        ("clip,frame,x,y\na,1,3,", "x, y of row 1 of t.csv must be numbers in pixels"),
        ("clip,frame,x,y\na,1,nan,3", "must be numbers in pixels"),
        ("clip,frame,x,y\na,1,,", "must have a click .* or a box"),
        ("clip,frame,x,y,label\na,1,3,4,2", "label of row 1 of t.csv is 1"),
        ("clip,frame,x0,y0,x1,y1\na,1,3,4,5,6\na,1,3,4,5,6", "row 2 of t.csv is a second box"),
        ("clip,frame,x,y", "holds no rows"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path, rows, said):
    (tmp_path / "t.csv").write_text(rows)
    with pytest.raises(PromptError, match=said):
        read_prompt_table(tmp_path / "t.csv")


def test_tables_that_are_none_are_told(tmp_path):
    with pytest.raises(PromptError, match="cannot be read as a table"):
        read_prompt_table(tmp_path / "none.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR0")
    with pytest.raises(PromptError, match="cannot be read as a table"):
        read_prompt_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--work dance", "work must be one of segment, track, evaluate"),
        ("--prompts t.csv", "prompts: for work track alone"),
        ("--work track --points-per-side 4", "points_per_side: for photos alone"),
        ("--work track --page 2", "page: for photos alone"),
        ("--work track --min-area 4", "keep: for photos alone"),
        ("--work track --look-every -1", "look_every must be at least 0"),
        ("--work track --prompts t.csv --text dog", "leave one of them out"),
        ("--work track --model sam_vit_b", "sam_vit_b"),
        ("--work track", "no clips in empty"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, monkeypatch, real, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    Path("empty").mkdir()
    Path("t.csv").write_text(TABLE)
    assert cli.run(["batch", "empty", "-o", "out", *words.split()]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_clips_are_written_in_formats_of_clips_alone(here, real, capsys):
    em.batch("in/a.mkv", "out", work="track", look_every=0, most_objects=1)
    assert cli.run(["convert", "out", "-f", "coco", "-o", "masks"]) == 2
    assert (
        "clips can be written as --format sa-v, davis, coco-vis, cvat, got 'coco'" in capsys.readouterr().err
    )
    photos = Path("photos.parquet")
    pq.write_table(pa.table({"photo": ["a"]}), photos)
    assert not holds_clips(photos)
    with pytest.raises(FormatError, match="has no row a clip; its columns: photo"):
        list(clips_of(photos))


def test_tasks_check_themselves():
    with pytest.raises(OptionError, match="look_every, most_objects: for work track alone"):
        Task(look_every=3, most_objects=2)
    with pytest.raises(OptionError, match="most_objects must be at least 1"):
        Clips(most_objects=0)
