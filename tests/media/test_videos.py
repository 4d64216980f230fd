from __future__ import annotations

import os
import struct
import time
from fractions import Fraction
from threading import Event

import numpy as np
import pytest
from PIL import Image

from everymask.errors import MissingExtraError, VideoError
from everymask.media.videos import natural_key, open_frames

av = pytest.importorskip("av", reason="PyAV (the video extra) is not installed")

HW = (48, 64)


def coded(index: int, hw=HW) -> np.ndarray:
    """A frame that says its number in brightness, and its upper left corner by a bright patch."""
    frame = np.full((*hw, 3), 10 + 4 * index, np.uint8)
    frame[: hw[0] // 4, : hw[1] // 4] = 255
    return frame


def number_of(frame: np.ndarray) -> int:
    return round((float(frame[-8:, -8:].mean()) - 10) / 4)


def write_video(path, count=30, *, times=None, sizes=None, codec="libx264", options=None, **container):
    """A clip of :func:`coded` frames; ``times`` are presentation times in thousandths of a second."""
    with av.open(str(path), "w", **container) as out:
        stream = out.add_stream(codec, rate=25, options=options or {"g": "8", "crf": "8", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = *HW, "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
            stream.time_base = Fraction(1, 1000)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(coded(i), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def numbers(source):
    return [number_of(source.frame(i)) for i in range(source.length)]


# --- files ----------------------------------------------------------------------------------------


def test_frames_of_a_file_come_in_the_order_in_which_they_are_shown(tmp_path):
    with open_frames(write_video(tmp_path / "a.mp4")) as source:
        assert source.length == 30
        assert source.frame_hw == HW
        assert numbers(source) == list(range(30))
        assert source.time_s(5) == pytest.approx(0.2)


@pytest.mark.parametrize("cache_mb", [0, 0.05, 10])
def test_any_frame_can_be_asked_for_in_any_order(tmp_path, cache_mb):
    source = open_frames(write_video(tmp_path / "a.mp4"), cache_mb=cache_mb)
    order = [29, 0, 17, 16, 15, 3, 4, 5, 28, 8, 7, 0, 29, *range(29, -1, -1)]
    assert [number_of(source.frame(i)) for i in order] == order


def test_the_cache_keeps_no_more_than_its_limit(tmp_path):
    source = open_frames(write_video(tmp_path / "a.mp4"), cache_mb=5 * 48 * 64 * 3 / 2**20)
    for i in (3, 20, 9, 29, 0):
        source.frame(i)
        assert len(source._cache) <= 5


def test_bytes_of_a_video_are_read_like_its_file(tmp_path):
    assert numbers(open_frames(write_video(tmp_path / "a.mp4", 5).read_bytes())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")]
)
def test_other_containers_and_codecs(tmp_path, name, codec):
    path = write_video(tmp_path / name, 12, codec=codec, options={"g": "6", "b": "4000000"})
    source = open_frames(path)
    assert numbers(source) == list(range(12))
    assert number_of(source.frame(7)) == 7


def test_a_varying_frame_rate_changes_times_not_numbers(tmp_path):
    times = [0, 40, 50, 500, 510, 520, 2000, 2040, 3000, 3001]
    source = open_frames(write_video(tmp_path / "vfr.mp4", 10, times=times))
    assert numbers(source) == list(range(10))
    assert [number_of(source.frame(i)) for i in (9, 3, 6)] == [9, 3, 6]
    assert source.time_s(6) == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize(
    ("degrees", "corner"), [(90, "upper right"), (180, "lower right"), (270, "lower left")]
)
def test_rotation_metadata_turns_frames_upright(tmp_path, degrees, corner):
    path = write_video(tmp_path / "turned.mp4", 6)
    path.write_bytes(with_rotation(path.read_bytes(), degrees))
    source = open_frames(path)
    frame = source.frame(2)
    assert frame.shape[:2] == (HW if degrees == 180 else HW[::-1])
    vertical, horizontal = corner.split()
    bright = frame[0 if vertical == "upper" else -1, 0 if horizontal == "left" else -1]
    assert bright.mean() > 200


def with_rotation(data: bytes, degrees: int) -> bytes:
    """The MP4 with a display matrix that turns pictures clockwise, as phones write it."""
    one = 1 << 16
    cos, sin = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    plain = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    return data[:at] + struct.pack(">9i", cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30) + data[at + 36 :]


def test_a_truncated_file_gives_its_frames_and_says_where_it_breaks_off(tmp_path):
    whole = write_video(tmp_path / "a.mp4", 30, container_options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 9 // 10])
    source = open_frames(cut)
    assert source.length == 30
    held = len(source._index.pts)
    assert 3 < held < 30
    assert number_of(source.frame(held // 2)) == held // 2
    with pytest.raises(
        VideoError,
        match=rf"breaks off: 30 frames are announced .* holds {held}; the first {held} can be used",
    ):
        source.frame(29)
    assert number_of(source.frame(1)) == 1


def test_a_recording_that_lost_its_index_is_refused(tmp_path):
    whole = write_video(tmp_path / "a.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"cannot be read as a video: .* has lost its index"):
        open_frames(cut)


def test_a_damaged_frame_is_named_and_the_others_can_be_used(tmp_path):
    path = write_video(tmp_path / "a.mp4", 24, options={"g": "1", "crf": "8", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    at, size = packets[10]
    data[at + 4 : at + size] = bytes(size - 4)
    path.write_bytes(data)
    source = open_frames(path)
    with pytest.raises(
        VideoError, match=r"frame 11 \(index 10\) of .* cannot be decoded; the file is damaged"
    ):
        source.frame(10)
    assert [number_of(source.frame(i)) for i in (9, 11, 20)] == [9, 11, 20]


def test_a_file_that_changes_resolution_is_refused_at_that_frame(tmp_path):
    small, large = tmp_path / "small.mjpeg", tmp_path / "large.mjpeg"
    for path, hw in ((small, HW), (large, (96, 128))):
        with path.open("wb") as file:
            for i in range(4):
                Image.fromarray(coded(i, hw)).save(file, "jpeg")
    both = tmp_path / "both.mjpeg"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    source = open_frames(both)
    assert source.frame(3).shape[:2] == HW
    with pytest.raises(
        VideoError, match=r"frame 5 \(index 4\) of .* is 128 x 96, the clip is 64 x 48; resize the frames"
    ):
        source.frame(4)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty (0 bytes)"),
        (b"this is no video" * 100, "cannot be read as a video"),
    ],
)
def test_files_that_are_no_videos_say_so(tmp_path, content, text):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        open_frames(path)
    assert text in str(caught.value)
    assert "a.mp4" in str(caught.value)


def test_a_file_without_a_single_frame_says_so(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "empty_moov"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *HW, "yuv420p"
        out.start_encoding()
    assert (tmp_path / "a.mp4").stat().st_size > 100
    with pytest.raises(VideoError, match=r"a\.mp4' has no frames that can be decoded; is the file complete"):
        open_frames(tmp_path / "a.mp4")


def test_a_sound_file_has_no_frames(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(VideoError, match="has no video stream"):
        open_frames(tmp_path / "a.wav")


def test_without_pyav_the_message_names_the_extra(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 2)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[video\]'"):
        open_frames(path)


# --- pictures -------------------------------------------------------------------------------------


def test_pictures_of_a_folder_come_in_natural_order_whatever_their_names(tmp_path):
    for i, name in enumerate(["shot9.png", "shot10.jpg", "shot100.PNG"]):
        Image.fromarray(coded(i)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture either")
    assert numbers(open_frames(tmp_path)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b2", "b10", "a"], ["a", "b2", "b10"]),
        (["2024-1-10", "2024-1-9"], ["2024-1-9", "2024-1-10"]),
        (["10", "9", "x"], ["9", "10", "x"]),
    ],
)
def test_natural_order(names, expected):
    assert sorted(names, key=natural_key) == expected


def test_lists_of_arrays_paths_and_pil_pictures_and_arrays_are_clips(tmp_path):
    Image.fromarray(coded(0)).save(tmp_path / "a.png")
    mixed = [tmp_path / "a.png", coded(1), Image.fromarray(coded(2))]
    assert numbers(open_frames(mixed)) == [0, 1, 2]
    assert numbers(open_frames(np.stack([coded(i) for i in range(3)]))) == [0, 1, 2]
    assert open_frames(np.zeros((2, 4, 6), np.uint8)).frame(1).shape == (4, 6, 3)
    assert open_frames(tmp_path / "a.png").length == 1


def test_frames_of_mixed_size_in_a_folder_are_refused_where_they_differ(tmp_path):
    for i, hw in enumerate([HW, HW, (20, 30)]):
        Image.fromarray(coded(i, hw)).save(tmp_path / f"{i}.png")
    source = open_frames(tmp_path)
    assert source.frame(1).shape[:2] == HW
    with pytest.raises(VideoError, match=r"frame 3 \(index 2\) of .* is 30 x 20, the clip is 64 x 48"):
        source.frame(2)


def test_a_broken_picture_is_named_with_its_frame(tmp_path):
    Image.fromarray(coded(0)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"text")
    with pytest.raises(VideoError, match=r"frame 2 \(index 1\) of .* cannot be read: .*1\.png"):
        open_frames(tmp_path).frame(1)


WRONG_SOURCES = [
    (np.zeros((0, 4, 6, 3), np.uint8), "the array has no frames; a clip needs at least one"),
    ([], "the list of pictures has no frames; a clip needs at least one"),
    (np.zeros((4, 6, 3), np.uint8), "got (4, 6, 3); one picture is no clip: add an axis, array[None]"),
    (np.zeros((2, 3, 40, 60), np.uint8), "got (2, 3, 40, 60); channels come last"),
    ("no/such/clip.mp4", "there is no video at 'no/such/clip.mp4'"),
    (3.5, "a clip must be a file, folder, list of pictures"),
    (True, "a clip must be a file, folder, list, array, iterator or camera number, got True"),
]


@pytest.mark.parametrize(("source", "text"), WRONG_SOURCES)
def test_what_is_no_clip_is_refused(source, text):
    with pytest.raises(VideoError) as caught:
        open_frames(source)
    assert text in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(VideoError, match="there are no pictures in the folder"):
        open_frames(tmp_path)


def test_a_frame_behind_the_end_is_refused():
    with pytest.raises(VideoError, match=r"there is no frame 3 in the array; it has 3 frames, 0 to 2"):
        open_frames(np.zeros((3, 4, 6, 3), np.uint8)).frame(3)


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_says_its_length_when_it_ends():
    source = open_frames(coded(i) for i in range(4))
    assert source.length is None
    assert source.has(3)
    assert not source.has(4)
    assert source.length == 4
    with pytest.raises(VideoError, match="there is no frame 4 in the stream; it ended after 4 frames"):
        source.frame(4)


def test_frames_of_a_stream_that_have_passed_are_gone_after_a_while():
    source = open_frames((coded(i) for i in range(9)), cache_mb=3 * 48 * 64 * 3 / 2**20)
    assert number_of(source.frame(8)) == 8
    assert number_of(source.frame(6)) == 6
    with pytest.raises(
        VideoError, match=r"frame 3 \(index 2\) of the stream has passed: of a stream only the"
    ):
        source.frame(2)


def test_a_stream_that_breaks_off_says_where():
    def broken():
        yield coded(0)
        raise OSError("the cable")

    source = open_frames(broken())
    assert number_of(source.frame(0)) == 0
    with pytest.raises(VideoError, match=r"the stream broke off at frame 2 \(index 1\): the cable"):
        source.frame(1)


def test_an_empty_stream_is_refused():
    with pytest.raises(VideoError, match="the stream has no frames"):
        open_frames(iter([])).frame(0)


def test_keeping_up_leaves_frames_out_and_counts_them():
    sent, first_taken = Event(), Event()

    def live():
        yield coded(0)
        first_taken.wait(5)
        for i in range(1, 6):
            yield coded(i)
        sent.set()
        time.sleep(0.2)
        yield coded(6)

    source = open_frames(live(), keep_up=True)
    assert number_of(source.frame(0)) == 0
    first_taken.set()
    assert sent.wait(5)
    assert number_of(source.frame(1)) == 5
    assert source.skipped_before(1) == 4
    assert number_of(source.frame(2)) == 6
    assert source.skipped_before(2) == 0
    assert not source.has(3)


def test_a_frame_written_again_after_opening_is_refused(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(tmp_path / f"{index:05d}.png")
    frames = open_frames(tmp_path)
    assert frames.frame(0)[0, 0, 0] == 0
    Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(tmp_path / "00002.png")
    os.utime(tmp_path / "00002.png", ns=(1, 1))  # however coarse the clock of the file system
    assert frames.frame(1)[0, 0, 0] == 1
    with pytest.raises(VideoError, match=r"frame 3 \(index 2\) .* changed after the clip .*00002.png"):
        frames.frame(2)
    assert open_frames(tmp_path).frame(2)[0, 0, 0] == 99


# --- stacks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_tiff_stack_is_a_clip_of_its_pages(tmp_path, kind):
    pages = [Image.fromarray(np.full((6, 8), value, kind)) for value in (0, 100, 200)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with open_frames(tmp_path / "stack.tif", range=(0, 255)) as frames:
        assert (frames.length, frames.frame_hw) == (3, (6, 8))
        assert [int(frames.frame(i)[0, 0, 0]) for i in (2, 0, 1)] == [200, 0, 100]
        with pytest.raises(VideoError, match=r"there is no frame 3 in .*; it has 3 frames, 0 to 2"):
            frames.frame(3)


def test_an_animated_webp_is_a_clip_and_a_broken_one_an_error(tmp_path):
    pages = [Image.new("RGB", (8, 6), (value, 0, 0)) for value in (0, 200)]
    pages[0].save(tmp_path / "a.webp", save_all=True, append_images=pages[1:], lossless=True)
    assert open_frames(tmp_path / "a.webp").length == 2
    (tmp_path / "b.tif").write_bytes(b"II*\0" + bytes(8))
    with pytest.raises(VideoError, match=r"cannot be decoded|not a picture"):
        open_frames(tmp_path / "b.tif").frame(0)
