"""``find`` and ``erase`` on a video: one command each."""

import json

import cv2
import numpy as np
import pytest

from everymask.media.videos import open_frames

pytest.importorskip("av", reason="PyAV (the video extra) is not installed")


def test_find_follows_what_words_name_in_a_video(everymask, clip, tmp_path, seer, capsys):
    assert everymask("find", clip, "--text", "ball", "--at-most", 1, "-o", tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["objects"]] == ["ball"]
    assert (tmp_path / "scene_overlay.mp4").is_file()
    assert everymask("find", clip, "photo.jpg", "--text", "ball", "-o", tmp_path) == 2
    assert "is a video: give it alone, or photos" in capsys.readouterr().err


def test_erase_takes_what_words_name_out_of_a_video(everymask, clip, tmp_path, seer, capsys):
    out = tmp_path / "without.mkv"
    command = ("erase", clip, "--text", "ball", "--at-most", 1, "--engine", "opencv", "--grow", 0)
    assert everymask(*command, "-o", out, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["objects"] == {"1": "ball"}
    assert "read or filled 20 frames" in said.err
    tracks = json.loads((tmp_path / "without_tracks" / "scene_sa_v.json").read_text())
    with open_frames(clip) as before, open_frames(out) as after:
        assert after.length == 10
        from everymask.masks.rle import decode, from_coco

        for index in range(10):
            hole = decode(from_coco(tracks["masklet"][index][0]))
            same = before.frame(index) == after.frame(index)
            assert same[~hole].all()
    assert everymask(*command, "-o", out) == 2
    assert "is there already; pass --overwrite" in capsys.readouterr().err


def test_tracks_of_an_earlier_run_a_click_and_a_mask_say_what_goes(everymask, clip, tmp_path, capsys):
    assert everymask("track", clip, "--point", "1:14,20@4=ball", "-f", "sa-v", "-o", tmp_path) == 0
    tracks = tmp_path / "scene_sa_v.json"
    assert everymask("erase", clip, "--mask", tracks, "--engine", "opencv", "-o", tmp_path / "a.mp4") == 0
    assert not (tmp_path / "a_tracks").exists()
    assert everymask("erase", clip, "--mask", tracks, "--text", "ball", "-o", tmp_path / "b.mp4") == 2
    assert "says all of a video" in capsys.readouterr().err
    assert everymask("erase", clip, "--point", "14,20", "--engine", "opencv", "-o", tmp_path / "c.mp4") == 0
    picture = np.zeros((48, 64), np.uint8)
    picture[10:30, 5:25] = 255
    cv2.imwrite(str(tmp_path / "m.png"), picture)
    words = ("--mask", tmp_path / "m.png", "--engine", "opencv")
    assert everymask("erase", clip, *words, "-o", tmp_path / "d.mp4") == 0
    with open_frames(tmp_path / "d.mp4") as after:
        assert after.length == 10


def test_what_is_wrong_with_a_video_is_one_line(everymask, clip, tmp_path, seer, capsys):
    for words, said in (
        ((), "nothing to erase; give --text WORDS, --point [FRAME:]X,Y"),
        (("--text", "quasar"), "no quasar"),
        (("--text", "ghost"), "no ghost was found on 1 frame"),
        (("--point", "99:3,4"), "there is no frame 99"),
        (("--point", "3,4", "-o", "out.avi"), "is written to .mp4"),
        (("--point", "3,4", "--engine", "magic"), "engine must be one of"),
        (("--mask", tmp_path / "none.json"), "there are no masks at"),
    ):
        assert (
            everymask("erase", clip, *(("-o", tmp_path / "o.mp4") if "-o" not in words else ()), *words) == 2
        )
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()) == 1
        assert not (tmp_path / "o.mp4").exists()
