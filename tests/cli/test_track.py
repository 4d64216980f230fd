from __future__ import annotations

import errno
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from everymask.cli.track.progress import FrameProgress
from everymask.cli.track.prompts import read_track_prompts
from everymask.errors import InputError
from everymask.everything.options_file import write_options
from everymask.formats.video_table import VIDEO_FORMATS
from everymask.maskset import Mask, MaskSet
from everymask.media.videos import open_frames
from everymask.video.render import OverlayVideo
from tests.media.test_videos import coded, with_rotation, write_video
from tests.video.parity import moving_scene

pytest.importorskip("av", reason="PyAV (the video extra) is not installed")


def masks_in(folder):
    return json.loads((folder / "scene_sa_v.json").read_text())["masklet"]


def test_outputs_of_every_kind_say_the_same(everymask, clip, tmp_path, capsys):
    wanted = [word for name in ("overlay", "alpha", *VIDEO_FORMATS) for word in ("-f", name)]
    prompts = ("--point", "1:14,20@1", "--box", "1:40,24,60,44@2", "--non-overlap")
    assert everymask("track", clip, *prompts, *wanted, "-o", tmp_path, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 10
    assert [one["object"] for one in summary["objects"]] == [1, 2]
    read = {
        name: kind.load().read(tmp_path / f"scene_{name.replace('-', '_')}{kind.suffix}")
        for name, kind in VIDEO_FORMATS.items()
    }
    for frame in range(10):
        label_maps = [each.label_map(frame)[0] for each in read.values()]
        assert all(np.array_equal(label_maps[0], other) for other in label_maps)
        for object_id in (1, 2):
            alpha = np.asarray(
                Image.open(tmp_path / "scene_alpha" / f"object_{object_id}" / f"{frame + 1:05d}.png")
            )
            assert np.array_equal(alpha[..., 3] > 0, label_maps[0] == object_id)
    with open_frames(tmp_path / "scene_overlay.mp4") as overlay:
        assert overlay.length == 10
        assert overlay.frame_hw == (48, 64)


@pytest.mark.parametrize("formats", [["sa-v"], ["overlay", "alpha", "sa-v"]])
def test_a_stopped_run_goes_on_to_the_same_masks(everymask, clip, tmp_path, monkeypatch, capsys, formats):
    words = [word for name in formats for word in ("-f", name)]
    command = ("track", clip, "--point", "4:14,20", "--both-ways", *words, "--save-every", 2)
    assert everymask(*command, "-o", tmp_path / "whole") == 0
    tracked = press_ctrl_c(monkeypatch, after=(4, 9))
    assert everymask(*command, "-o", tmp_path / "cut") == 130
    assert everymask(*command, "-o", tmp_path / "cut") == 130
    assert [path.name for path in (tmp_path / "cut").iterdir()] == [".everymask"]
    assert everymask(*command, "-o", tmp_path / "cut") == 0
    assert len(tracked) == 10 + 2, "only the frames in work were tracked again"
    assert masks_in(tmp_path / "cut") == masks_in(tmp_path / "whole")
    assert len(masks_in(tmp_path / "whole")) == 10
    for path in (tmp_path / "whole").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "cut" / path.relative_to(tmp_path / "whole")).read_bytes()
    if "overlay" in formats:
        with open_frames(tmp_path / "cut" / "scene_overlay.mp4") as overlay:
            assert overlay.length == 10
    capsys.readouterr()
    assert everymask(*command, "-o", tmp_path / "cut") == 0
    assert "tracked" not in capsys.readouterr().err


def test_a_killed_run_goes_on_from_the_last_save(everymask, clip, tmp_path, monkeypatch):
    """Nothing is saved when the power goes: what stands in the files must do."""
    command = ("track", clip, "--point", "1:14,20", "-f", "sa-v", "-f", "overlay", "--save-every", 4)
    assert everymask(*command, "-o", tmp_path / "whole") == 0
    tracked = press_ctrl_c(monkeypatch, after=(7,), error=SystemExit)
    with pytest.raises(SystemExit):
        everymask(*command, "-o", tmp_path / "cut")
    assert everymask(*command, "-o", tmp_path / "cut") == 0
    assert len(tracked) == 7 + 7, "from frame 3, where the state was saved, to frame 9"
    assert masks_in(tmp_path / "cut") == masks_in(tmp_path / "whole")
    with open_frames(tmp_path / "cut" / "scene_overlay.mp4") as overlay:
        assert overlay.length == 10


def press_ctrl_c(monkeypatch, after, error=KeyboardInterrupt):
    """Interrupt when so many frames are done; a list with an entry for each."""
    tracked = []

    def count_until_interrupted(progress):
        tracked.append(progress.done)
        progress.done += 1
        if len(tracked) in after:
            raise error

    monkeypatch.setattr(FrameProgress, "frame_done", count_until_interrupted)
    return tracked


def test_clicks_of_one_frame_are_added_one_by_one(everymask, clip, tmp_path, monkeypatch):
    from everymask.video.session import VideoSession

    asked, add = [], VideoSession.add_prompt

    def record(session, *place, **said):
        asked.append((*place, said))
        return add(session, *place, **said)

    monkeypatch.setattr(VideoSession, "add_prompt", record)
    words = ("--point", "1:14,20", "--point", "1:40,30,0", "--box", "1:5,5,30,40@2", "--point", "1:9,9@2")
    assert everymask("track", clip, *words, "-f", "sa-v", "--stop", 2, "-o", tmp_path) == 0
    assert asked == [
        (0, 1, {"points": [[14.0, 20.0]], "labels": [1], "keep_points": False}),
        (0, 1, {"points": [[40.0, 30.0]], "labels": [0], "keep_points": True}),
        (0, 2, {"box": [5.0, 5.0, 30.0, 40.0]}),
        (0, 2, {"points": [[9.0, 9.0]], "labels": [1], "keep_points": True}),
    ]


def test_one_more_click_goes_on_from_its_frame(everymask, clip, tmp_path, monkeypatch, capsys):
    command = ("track", clip, "-f", "sa-v", "-f", "overlay", "-o", tmp_path)
    assert everymask(*command, "--point", "1:14,20") == 0
    first = masks_in(tmp_path)
    tracked = press_ctrl_c(monkeypatch, after=())
    assert everymask(*command, "--point", "1:14,20", "--point", "7:40,30,0", "--point", "8:50,40@2") == 0
    assert len(tracked) == 4, "frames 7 to 10"
    assert "going on from frame 7 with what was added" in capsys.readouterr().err
    second = masks_in(tmp_path)
    assert [frame[:1] for frame in second[:6]] == [frame[:1] for frame in first[:6]]
    assert second != first
    with open_frames(tmp_path / "scene_overlay.mp4") as overlay:
        assert overlay.length == 10
    tracked.clear()
    again = (*command, "--point", "1:14,20", "--point", "7:40,30,0", "--point", "8:50,40@2")
    assert everymask(*again) == 0
    assert tracked == [], "said once, it is known"
    assert everymask(*command, "--point", "7:40,30,0") == 2, "a click taken back is another command"


def test_objects_are_named_and_a_run_says_how_it_went(everymask, clip, tmp_path, capsys):
    words = ("--point", "1:14,20@1=big ball", "--point", "5:40,30@2", "--labels", "--ids")
    assert everymask("track", clip, *words, "-o", tmp_path, "--json") == 0
    said = capsys.readouterr()
    first, second = json.loads(said.out)["objects"]
    assert (first["name"], second["name"]) == ("big ball", None)
    assert (first["first"], first["of"]) == (1, 10)
    told = f"object 1 (big ball): {first['frames']} of 10 frames, mean score {first['mean_score']:.2f}"
    assert told in said.err
    with Image.open(tmp_path / "scene_strip.jpg") as strip:
        assert strip.width == 1600
    assert everymask("track", clip, *words[:4], "-f", "coco-vis", "-o", tmp_path) == 0
    names = [
        each["name"] for each in json.loads((tmp_path / "scene_coco_vis.json").read_text())["categories"]
    ]
    assert "big ball" in names


def test_words_find_objects_follow_them_and_name_them(everymask, clip, tmp_path, seer, capsys):
    words = (
        "track",
        clip,
        "--text",
        "big ball",
        "--look-every",
        4,
        "-f",
        "sa-v",
        "-f",
        "coco-vis",
        "--at-most",
        2,
    )
    assert everymask(*words, "-o", tmp_path, "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["objects"]
    assert (first["name"], first["first"]) == ("big ball", 1)
    assert (second["name"], second["first"]) == ("big ball", 5)
    assert seer.looks == 3
    categories = json.loads((tmp_path / "scene_coco_vis.json").read_text())["categories"]
    assert [each["name"] for each in categories] == ["big ball"]
    assert everymask(*words, "-o", tmp_path, "--detector", "owlv2_base") == 2
    assert "other words, or another --detector" in capsys.readouterr().err


def test_a_stopped_run_with_words_goes_on_to_the_same_masks_and_names(
    everymask, clip, tmp_path, seer, monkeypatch, capsys
):
    command = ("track", clip, "--text", "ball", "--look-every", 4, "-f", "sa-v", "--save-every", 2, "--json")
    assert everymask(*command, "-o", tmp_path / "whole") == 0
    whole = json.loads(capsys.readouterr().out)["objects"]
    seer.looks = 0
    press_ctrl_c(monkeypatch, after=(3, 7))
    assert everymask(*command, "-o", tmp_path / "cut") == 130
    assert everymask(*command, "-o", tmp_path / "cut") == 130
    assert everymask(*command, "-o", tmp_path / "cut") == 0
    assert json.loads(capsys.readouterr().out)["objects"] == whole
    assert masks_in(tmp_path / "cut") == masks_in(tmp_path / "whole")


def test_absent_and_unknown_things_and_two_ways_at_once_are_one_line(everymask, clip, tmp_path, seer, capsys):
    for words, said in (
        (("--text", "ghost"), "no ghost was found on 1 frame of"),
        (("--text", "quasar"), "no quasar"),
        (("--text", "ball", "--everything"), "leave one of them out"),
        (("--text", " "), "must name what to look for"),
    ):
        assert everymask("track", clip, *words, "-o", tmp_path) == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()) == 1
        assert not (tmp_path / ".everymask" / "track.json").exists()


def test_filters_leave_out_objects_and_masks(everymask, clip, tmp_path, capsys):
    words = ("track", clip, "--point", "1:14,20@1", "--box", "1:40,24,60,44@2", "-f", "sa-v", "-f", "overlay")
    assert everymask(*words, "-o", tmp_path, "--json") == 0
    areas = {one["object"]: one["mean_score"] for one in json.loads(capsys.readouterr().out)["objects"]}
    assert everymask(*words, "-o", tmp_path, "--top", 1, "--json") == 0
    (best,) = json.loads(capsys.readouterr().out)["objects"]
    assert best["mean_score"] == max(areas.values())
    assert everymask(*words, "-o", tmp_path, "--min-area", 1e6) == 0
    assert "warning: the filters leave no mask" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "suffix"), [("alpha-mov", "mov"), ("alpha-webm", "webm")])
def test_one_video_with_transparency(everymask, clip, tmp_path, name, suffix):
    import av

    prompts = ("--point", "1:14,20@1", "--box", "1:40,24,60,44@2", "--stop", 4)
    assert everymask("track", clip, *prompts, "-f", name, "-f", "davis", "-o", tmp_path) == 0
    read = VIDEO_FORMATS["davis"].load().read(tmp_path / "scene_davis")
    decoder = av.CodecContext.create("libvpx-vp9" if suffix == "webm" else "prores", "r")
    with av.open(str(tmp_path / f"scene_alpha.{suffix}")) as container:
        stream = container.streams.video[0]
        decoder.extradata = stream.codec_context.extradata
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    assert len(frames) == 3
    for index, frame in enumerate(frames):
        alpha = frame.to_ndarray(format="rgba")[..., 3] > 127
        wanted = read.label_map(index)[0] > 0
        assert (alpha != wanted).mean() < 0.02


def test_another_command_does_not_overwrite_tracks_unasked(everymask, clip, tmp_path, capsys):
    command = ("track", clip, "-o", tmp_path, "-f", "sa-v", "--stop", 3)
    assert everymask(*command, "--point", "1:14,20") == 0
    assert everymask(*command, "--point", "1:15,20") == 2
    said = capsys.readouterr().err
    assert "holds tracks made otherwise (other prompts); pass --overwrite or choose another -o" in said
    assert everymask(*command, "--point", "1:15,20", "--overwrite") == 0


def test_a_wrong_command_costs_no_tracks_and_leaves_no_trace(everymask, clip, tmp_path):
    command = ("track", clip, "-o", tmp_path, "-f", "sa-v", "--stop", 3)
    assert everymask(*command, "--point", "1:999,20") == 2
    assert everymask(*command, "--point", "1:14,20") == 0
    record = (tmp_path / ".everymask" / "masks.jsonl").read_bytes()
    assert everymask(*command, "--point", "1:999,20", "--overwrite") == 2
    assert (tmp_path / ".everymask" / "masks.jsonl").read_bytes() == record


def test_a_folder_of_pictures_that_changed_is_not_gone_on_with(everymask, tmp_path, capsys):
    folder = tmp_path / "scene"
    folder.mkdir()
    for i, frame in enumerate(moving_scene(4, (48, 64))):
        Image.fromarray(frame).save(folder / f"{i}.png")
    command = ("track", folder, "--point", "1:14,20", "-f", "sa-v", "-o", tmp_path / "out")
    assert everymask(*command) == 0
    Image.fromarray(moving_scene(9, (48, 64))[8]).save(folder / "2.png")
    assert everymask(*command) == 2
    assert "(the video has changed since); pass --overwrite" in capsys.readouterr().err


def test_a_damaged_state_says_how_to_start_over(everymask, clip, tmp_path, capsys):
    command = ("track", clip, "--point", "1:14,20", "-f", "sa-v", "-o", tmp_path)
    assert everymask(*command) == 0
    state = tmp_path / ".everymask" / "session.safetensors"
    state.write_bytes(state.read_bytes()[:-50])
    assert everymask(*command) == 1
    assert "is not a saved session" in (said := capsys.readouterr().err)
    assert "--overwrite starts over" in said
    assert everymask(*command, "--overwrite") == 0


def test_what_cannot_be_drawn_ends_the_run_at_once_and_keeps_the_tracks(
    everymask, clip, tmp_path, monkeypatch, capsys
):
    drawn = []

    def draw(video, index, *_):
        drawn.append(index)
        if index == 3:
            raise OSError(28, "No space left on device")

    command = ("track", clip, "--point", "1:14,20", "-o", tmp_path, "--save-every", 2)
    monkeypatch.setattr(OverlayVideo, "add", draw)
    assert everymask(*command) == 1
    assert "scene_overlay.mp4: no space left on device; make room" in capsys.readouterr().err
    assert drawn == [0, 1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == [".everymask"]
    monkeypatch.undo()


def test_one_file_that_cannot_be_written_does_not_cost_the_others(everymask, clip, tmp_path, capsys):
    (tmp_path / "scene_sa_v.json").mkdir()
    command = ("track", clip, "--point", "1:14,20", "-o", tmp_path, "-f", "sa-v", "-f", "cvat")
    assert everymask(*command) == 1
    assert "scene_sa_v.json could not be written: " in (said := capsys.readouterr().err)
    assert "is a folder; name a file to write to" in said
    assert (tmp_path / "scene_cvat.xml").is_file()


def test_a_state_that_does_not_fit_costs_no_masks(everymask, clip, tmp_path, monkeypatch, capsys):
    command = ("track", clip, "--point", "1:14,20", "-f", "sa-v", "-f", "overlay", "--save-every", 4)
    assert everymask(*command, "-o", tmp_path / "whole") == 0
    with monkeypatch.context() as full:
        full.setattr("everymask.video.saving.save_file", no_room)
        assert everymask(*command, "-o", tmp_path / "full") == 1
    said = capsys.readouterr().err
    assert said.count("tracking goes on without its state being saved") == 1
    assert "No space left on device; name another file, or make room" in said
    assert "the masks are written all the same" in said
    assert masks_in(tmp_path / "full") == masks_in(tmp_path / "whole")
    assert (tmp_path / "full" / "scene_overlay.mp4").stat().st_size > 1000
    assert everymask(*command, "-o", tmp_path / "full", "--overwrite") == 0
    assert masks_in(tmp_path / "full") == masks_in(tmp_path / "whole")


def no_room(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_prompts_from_a_file_and_a_mask(everymask, clip, tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[20:40, 30:50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    said = [
        {"frame": 1, "object": 3, "points": [[14, 20]]},
        {"frame": 2, "object": 8, "mask": str(tmp_path / "mask.png")},
    ]
    (tmp_path / "prompts.json").write_text(json.dumps(said))
    arguments = ("--prompts", tmp_path / "prompts.json", "-f", "sa-v", "--stop", 4, "-o", tmp_path)
    assert everymask("track", clip, *arguments) == 0
    assert json.loads((tmp_path / "scene_sa_v.json").read_text())["masklet_id"] == [3, 8]


def test_a_clip_that_breaks_off_keeps_what_was_tracked(everymask, tmp_path, capsys):
    folder = tmp_path / "scene"
    folder.mkdir()
    for i, frame in enumerate(moving_scene(4, (48, 64))):
        Image.fromarray(frame).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"damaged")
    assert everymask("track", folder, "--point", "1:14,20", "-f", "sa-v", "-o", tmp_path / "out") == 1
    assert "error: frame 3 (index 2) of" in capsys.readouterr().err
    assert len(masks_in(tmp_path / "out")) == 2


def cut_off(path):
    whole = write_video(path, 30, container_options={"movflags": "faststart"}).read_bytes()
    path.write_bytes(whole[: len(whole) * 9 // 10])


def larger_from_the_fifth_frame(path):
    with path.open("wb") as file:
        for i in range(8):
            Image.fromarray(coded(i, (48, 64) if i < 4 else (96, 128))).save(file, "jpeg")


def mixed_sizes(folder):
    folder.mkdir()
    for i in range(6):
        Image.fromarray(coded(i, (48, 64) if i != 3 else (48, 40))).save(folder / f"{i}.png")


@pytest.mark.parametrize(
    ("name", "write", "text", "least"),
    [
        ("cut.mp4", cut_off, "cannot be decoded; the file is damaged there", 9),
        (
            "grows.mjpeg",
            larger_from_the_fifth_frame,
            "is 128 x 96, the clip is 64 x 48; resize the frames",
            4,
        ),
        (
            "mixed",
            mixed_sizes,
            r"frame 4 \(index 3\) of .* is 40 x 48, the clip is 64 x 48; resize the frames",
            3,
        ),
    ],
)
def test_a_broken_clip_gives_what_came_before_the_break(
    everymask, tmp_path, capsys, name, write, text, least
):
    write(tmp_path / name)
    command = ("track", tmp_path / name, "--point", "1:14,20", "-o", tmp_path / "out", "-f", "sa-v")
    assert everymask(*command, "-f", "overlay") == 1
    said = capsys.readouterr().err
    assert re.search(f"error: .*{text}.*; what was tracked before is written", said)
    stem = name.split(".")[0]
    frames = json.loads((tmp_path / "out" / f"{stem}_sa_v.json").read_text())["masklet_frames"]
    assert frames == list(range(len(frames)))
    assert len(frames) >= least
    with open_frames(tmp_path / "out" / f"{stem}_overlay.mp4") as overlay:
        assert overlay.length == len(frames)
    assert everymask(*command) == 1
    assert "tracked" not in capsys.readouterr().err.replace("what was tracked", ""), "nothing is done twice"


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_clip_with_rotation_metadata_is_tracked_and_written_upright(everymask, tmp_path, degrees):
    path = write_video(tmp_path / "turned.mp4", 4)
    path.write_bytes(with_rotation(path.read_bytes(), degrees))
    assert everymask("track", path, "--point", "1:14,40", "-o", tmp_path, "-f", "sa-v", "-f", "overlay") == 0
    hw = [48, 64] if degrees == 180 else [64, 48]
    assert json.loads((tmp_path / "turned_sa_v.json").read_text())["masklet"][0][0]["size"] == hw
    with open_frames(tmp_path / "turned_overlay.mp4") as overlay:
        assert list(overlay.frame_hw) == hw


def test_the_overlay_of_a_varying_frame_rate_keeps_its_times(everymask, tmp_path):
    times = [0, 40, 50, 500, 510, 2000]
    path = write_video(tmp_path / "vfr.mp4", 6, times=times)
    assert everymask("track", path, "--point", "1:14,20", "-o", tmp_path, "-f", "overlay") == 0
    with open_frames(tmp_path / "vfr_overlay.mp4") as overlay:
        assert [round(1000 * overlay.time_s(i)) for i in range(6)] == times


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "nothing is asked for; give --point FRAME:X,Y"),
        (
            ["--point", "14,20"],
            "--point must be FRAME:X,Y[,0|1][@ID] with whole numbers FRAME and ID",
        ),
        (["--point", "0:14,20"], "frames count from 1, got --point 0:14,20; the first frame is 1:14,20"),
        (["--point", "1:14"], "--point must be FRAME:X,Y[,0|1] in pixels, got '1:14'"),
        (["--point", "1:14,20,7"], "the last number of --point is 1 (object) or 0 (not)"),
        (["--box", "1:1,2,3"], "--box must be FRAME:X0,Y0,X1,Y1 in pixels"),
        (
            ["--point", "1:500,20"],
            "object 1 on frame 1: point (500, 20) is outside the picture of 64 x 48 pixels",
        ),
        (["--point", "11:14,20"], "there is no frame 11; the clip has frames 1 to 10"),
        (["--point", "1:nan,20"], "--point must be FRAME:X,Y[,0|1] in pixels, got '1:nan,20'"),
        (["--box", "1:1,2,inf,9"], "--box must be FRAME:X0,Y0,X1,Y1 in pixels, got"),
        (["--point", "1:14,20", "--stop", "1"], "--stop is the first frame not tracked; with 1 nothing is"),
        (["--point", "1:14,20", "--save-every", "0"], "Invalid value for '--save-every'"),
        (["--everything", "--look-every", "-1"], "Invalid value for '--look-every'"),
        (["--everything", "--most-objects", "0"], "Invalid value for '--most-objects'"),
        (["--mask", "1:no.png"], "object 1 on frame 1: there is no picture at 'no.png'"),
        (["--point", "1:14,20", "-f", "gif"], "--format must be one of overlay, alpha, sa-v"),
        (["--mask", "1:a.png", "--point", "1:14,20"], "has a mask and points or a box on frame 1"),
    ],
)
def test_wrong_words_are_usage_errors(everymask, clip, tmp_path, capsys, words, text):
    assert everymask("track", clip, "-o", tmp_path, *words) == 2
    assert text in capsys.readouterr().err


class FakeGenerator:
    """Everything mode that finds two squares, and later a third one."""

    calls = 0
    options = None

    def __init__(self, model, **options):
        FakeGenerator.options = options

    def generate(self, photo):
        FakeGenerator.calls += 1
        corners = [(2, 2), (30, 2), (30, 30)][: 2 if FakeGenerator.calls == 1 else 3]
        masks = []
        for x, y in corners:
            pixels = np.zeros(photo.shape[:2], bool)
            pixels[y : y + 14, x : x + 14] = True
            masks.append(Mask.from_segmentation(pixels, predicted_iou=0.9))
        return MaskSet(masks, photo.shape[:2])


def test_everything_follows_what_is_there_and_what_comes(everymask, clip, tmp_path, monkeypatch):
    FakeGenerator.calls = 0
    monkeypatch.setattr("everymask.words.every_object.AutomaticMaskGenerator", FakeGenerator)
    words = (
        "--everything",
        "--look-every",
        4,
        "--most-objects",
        3,
        "--stop",
        7,
        "-f",
        "sa-v",
        "-o",
        tmp_path,
    )
    assert everymask("track", clip, *words) == 0
    written = json.loads((tmp_path / "scene_sa_v.json").read_text())
    assert FakeGenerator.calls == 2
    assert written["masklet_id"][:2] == [1, 2]
    assert written["masklet_frames"] == [0, 1, 2, 3, 4, 5]
    assert 2 <= written["masklet_num"] <= 3


def test_everything_takes_options_from_a_file_and_goes_on_with_the_same_ones(
    everymask, clip, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("everymask.words.every_object.AutomaticMaskGenerator", FakeGenerator)
    files = [write_options(tmp_path / f"{n}.toml", {"points_per_side": n}) for n in (4, 8)]
    command = ("track", clip, "--stop", 3, "-f", "sa-v", "-o", tmp_path / "out")
    assert everymask(*command, "--everything", "--options", files[0]) == 0
    assert FakeGenerator.options == {"points_per_side": 4}
    assert everymask(*command, "--everything", "--options", files[1]) == 2
    assert "holds tracks made otherwise (other --options)" in capsys.readouterr().err
    assert everymask(*command, "--point", "1:14,20", "--options", files[0]) == 2
    assert "--options is of everything mode: give --everything or --text with it" in capsys.readouterr().err


def test_a_missing_video_is_a_failure(everymask, tmp_path, capsys):
    assert everymask("track", tmp_path / "no.mp4", "--point", "1:1,2", "-o", tmp_path) == 1
    assert "there is no video at" in capsys.readouterr().err


def test_masks_of_another_size_and_without_a_pixel_are_refused(everymask, clip, tmp_path, capsys):
    for name, size, text in (
        ("small", (30, 30), "is 30 x 30, the"),
        ("black", (48, 64), "is empty: no pixel"),
    ):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{name}.png")
        assert everymask("track", clip, "--mask", f"1:{tmp_path}/{name}.png", "-o", tmp_path / "out") == 2
        assert text in capsys.readouterr().err


def test_boxes_without_ids_are_several_objects():
    prompts = read_track_prompts([], ["1:1,2,30,40", "6:1,2,30,40"], [], None)
    assert [(prompt.frame, prompt.object_id) for prompt in prompts] == [(0, 1), (5, 2)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"frame": 1}, "must hold a list of"),
        ([{"frame": 1, "pionts": []}], "entry 1 of .* must be an object with box, frame, labels, mask"),
        ([{"object": 1}], "frame of entry 1 of .* must be a whole number from 1, got null"),
        ([{"frame": 0}], "frame of entry 1 of .* must be a whole number from 1, got 0"),
        ([{"frame": True}], "frame of entry 1 of .* must be a whole number from 1, got true"),
        ([{"frame": 1}], "entry 1 of .* says nothing of the object; give it points, box or mask"),
        ([{"frame": 1, "points": [1, 2]}], r"points of entry 1 of .* must be \[\[x, y\], ...\] in pixels"),
        ([{"frame": 1, "points": [[float("nan"), 2]]}], "holds NaN, which is not a number"),
        ([{"frame": 1, "points": "ab"}], "points of entry 1 of .* in pixels, got"),
        ([{"frame": 1, "box": [1, 2, 3]}], r"box of entry 1 of .* must be \[x0, y0, x1, y1\] in pixels"),
        ([{"frame": 1, "mask": 5}], "mask of entry 1 of .* must be the name of a file, got 5"),
        ([{"frame": 1, "points": [[1, 2]], "labels": 1}], "labels of entry 1 of .* must be a list of 1"),
        ([{"frame": 1, "points": [[1, 2]], "labels": [1, 0]}], "has 1 points and 2 labels"),
    ],
)
def test_a_wrong_prompt_file_is_named(tmp_path, content, text):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=text):
        read_track_prompts([], [], [], path)
