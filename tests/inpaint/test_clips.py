"""Things taken out of clips: what other frames show comes first, and nothing else changes."""

import numpy as np
import pytest

import everymask as em
from everymask.errors import OptionError, PromptError, VideoError
from everymask.formats.video_record import ClipMasks, ObjectMask
from everymask.inpaint.clips import Camera, erased_frames, holes_of, membrane
from everymask.inpaint.motion import at_full_size, move_between, shifted, small_grey
from everymask.masks.rle import encode
from everymask.media.videos import open_frames

HW = (96, 128)


def wide_scene(seed=0):
    """A picture larger than the frames, smooth and full of corners."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    return cv2.resize(noise, (250, 200), interpolation=cv2.INTER_CUBIC)


def panned(count, step=(2, 3), seed=0):
    """Frames of a camera that moves over the scene by so many pixels a frame."""
    scene = wide_scene(seed)
    return np.stack(
        [scene[step[0] * i : step[0] * i + HW[0], step[1] * i : step[1] * i + HW[1]] for i in range(count)]
    )


def passing(index):
    """A disc that passes through the frame from left to right."""
    y, x = np.ogrid[: HW[0], : HW[1]]
    return (y - 48) ** 2 + (x - 30 - 7 * index) ** 2 <= 12**2


class Painter:
    """Fills with a colour, and counts how often and how much."""

    def __init__(self, value=255.0):
        self.value, self.pixels = value, []

    def fill(self, picture, hole):
        self.pixels.append(int(hole.sum()))
        return np.where(hole[..., None], self.value, picture).astype(np.float32)


def test_a_move_between_two_frames_is_found():
    frames = panned(2)
    move = move_between(small_grey(frames[0]), small_grey(frames[1]))
    np.testing.assert_allclose(move, [[1, 0, -3], [0, 1, -2], [0, 0, 1]], atol=0.25)
    assert move_between(np.zeros(HW, np.uint8), np.zeros(HW, np.uint8)) is None


def test_moves_at_other_sizes_and_between_crops():
    move = np.array([[1, 0, 4.0], [0, 1, -2], [0, 0, 1]])
    np.testing.assert_allclose(at_full_size(move, 0.5)[:2, 2], [8, -4])
    np.testing.assert_allclose(shifted(move, (10, 0), (3, 5))[:2, 2], [11, -7])


def test_steps_add_up_and_nothing_is_known_across_a_cut():
    step = np.array([[1, 0, 2.0], [0, 1, 0], [0, 0, 1]])
    camera = Camera([step, step, None, step])
    np.testing.assert_allclose(camera.move(0, 2)[0, 2], 4)
    np.testing.assert_allclose(camera.move(2, 0)[0, 2], -4)
    assert camera.move(1, 3) is None
    np.testing.assert_allclose(camera.move(3, 4)[0, 2], 2)


def test_what_other_frames_show_is_put_back_and_the_rest_stays_to_the_bit():
    true = panned(12)
    holes = [passing(index) for index in range(12)]
    shown = np.stack([np.where(hole[..., None], 0, frame) for hole, frame in zip(holes, true, strict=True)])
    painter = Painter()
    with open_frames(shown.astype(np.uint8)) as source:
        result = list(erased_frames(source, lambda index: holes[index], painter, grow=0))
    for frame, wanted, hole in zip(result, true, holes, strict=True):
        np.testing.assert_array_equal(frame[~hole], wanted[~hole])
        assert np.abs(frame[hole].astype(float) - wanted[hole]).mean() < 4
    assert painter.pixels == [], "all of it is seen somewhere"


def test_brightness_that_changes_is_fitted_to_the_rim():
    true = panned(10).astype(float) * 0.6
    true = (true + 6.0 * np.arange(10)[:, None, None, None]).astype(np.uint8)
    holes = [passing(index) for index in range(10)]
    with open_frames(true) as source:
        result = list(erased_frames(source, lambda index: holes[index], Painter(), grow=0))
    errors = [np.abs(a[h].astype(float) - b[h]).mean() for a, b, h in zip(result, true, holes, strict=True)]
    assert np.median(errors) < 2, "kept frames differ from it by 6 a step"


def test_what_nobody_saw_is_filled_once_and_taken_along():
    true = panned(8, step=(0, 1))
    still = np.zeros(HW, bool)
    still[40:56, 50:70] = True
    scene_hole = [np.roll(still, -index, axis=1) for index in range(8)]  # it lies in the scene: never seen
    painter = Painter(200.0)
    with open_frames(true) as source:
        result = list(erased_frames(source, lambda index: scene_hole[index], painter, grow=0))
    assert len(painter.pixels) <= 2, painter.pixels
    for frame, hole in zip(result, scene_hole, strict=True):
        assert np.abs(np.median(frame[hole].astype(float)) - 200) < 40


def test_another_scene_is_not_taken_from():
    true = np.concatenate([panned(4), panned(4, seed=5)])
    holes = [passing(0) if index >= 4 else np.zeros(HW, bool) for index in range(8)]
    painter = Painter()
    still = np.concatenate([panned(4), np.repeat(panned(1, seed=5), 4, axis=0)])
    with open_frames(still) as source:
        list(erased_frames(source, lambda index: holes[index], painter, grow=0))
    assert painter.pixels[0] == passing(0).sum()
    assert true.shape == still.shape


def test_frames_without_a_mask_are_themselves():
    true = panned(5)
    with open_frames(true) as source:
        only_third = {2: passing(2)}
        result = list(erased_frames(source, holes_of(only_third), Painter(), grow=0))
    for index in (0, 1, 3, 4):
        np.testing.assert_array_equal(result[index], true[index])


def test_masks_come_in_every_form():
    one, other = passing(0), passing(5)
    record = ClipMasks("clip", HW, 2, frames={0: {1: ObjectMask(encode(one)), 2: ObjectMask(encode(other))}})
    np.testing.assert_array_equal(holes_of(record)(0), one | other)
    np.testing.assert_array_equal(holes_of(record, [2])(0), other)
    assert not holes_of(record)(1).any()
    np.testing.assert_array_equal(holes_of(np.stack([one, other]).astype(np.uint8) * 7)(1), other)
    assert holes_of(np.stack([one]))(1) is None
    with pytest.raises(PromptError, match="there is no object 9; the masks are of 1, 2"):
        holes_of(record, [9])
    with pytest.raises(PromptError, match=r"must have shape \(N, H, W\)"):
        holes_of(one)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros(HW, bool), "no frame of the array has a mask"),
        (np.ones(HW, bool), "covers the whole frame"),
        (np.ones((5, 5), bool), "must have the clip's shape"),
    ],
)
def test_masks_that_cannot_be_are_told(mask, said):
    with open_frames(panned(2)) as source, pytest.raises(PromptError, match=said):
        list(erased_frames(source, lambda index: mask, Painter()))


def test_a_stream_is_refused():
    with open_frames(iter(panned(3))) as source, pytest.raises(VideoError, match="is a stream"):
        list(erased_frames(source, lambda index: passing(index), Painter()))


def test_a_membrane_carries_a_rims_difference_inwards():
    known = np.ones((40, 40), bool)
    known[10:30, 10:30] = False
    slope = np.broadcast_to(np.linspace(-10, 10, 40)[None, :, None], (40, 40, 3)).astype(np.float32)
    filled = membrane(slope * known[..., None], known, ~known)
    assert np.abs(filled - slope)[~known].max() < 6
    assert filled[20, 12, 0] < filled[20, 27, 0]


def with_sound(path, frames):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.height, pictures.width, pictures.pix_fmt = *HW, "yuv420p"
        sound = container.add_stream("aac", rate=16000)
        sound.layout = "mono"
        for frame in frames:
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(pictures.encode(None))
        wave = (np.sin(np.arange(16000) * 0.2) * 8000).astype(np.int16)
        for start in range(0, len(wave), 1024):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
            piece.rate, piece.pts = 16000, start
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path


def test_a_clip_is_written_lossless_with_its_sound_and_times(tmp_path):
    av = pytest.importorskip("av")
    clip = with_sound(tmp_path / "clip.mp4", panned(10))
    holes = np.stack([passing(index) for index in range(10)])
    written = em.erase_video(clip, holes, tmp_path / "out.mkv", "opencv", grow=0)
    assert (written.frames, written.sound) == (10, "copied")
    with open_frames(clip) as before, open_frames(tmp_path / "out.mkv") as after:
        assert after.length == 10
        for index, hole in enumerate(holes):
            np.testing.assert_array_equal(before.frame(index)[~hole], after.frame(index)[~hole])
            assert abs(before.time_s(index) - after.time_s(index)) < 2e-3
        assert (before.frame(4)[holes[4]] != after.frame(4)[holes[4]]).any()
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 15000


def test_a_clip_becomes_mp4_or_a_folder_of_pictures(tmp_path):
    pytest.importorskip("av")
    frames, holes = panned(4)[:, :95, :127], np.stack([passing(index)[:95, :127] for index in range(4)])
    assert em.erase_video(frames, holes, tmp_path / "out.mp4", "opencv").sound == "none"
    with open_frames(tmp_path / "out.mp4") as after:
        assert (after.length, after.frame_hw) == (4, (94, 126))
    em.erase_video(frames, holes, tmp_path / "out", "opencv", grow=0)
    with open_frames(tmp_path / "out") as after:
        np.testing.assert_array_equal(after.frame(3)[~holes[3]], frames[3][~holes[3]])
    with pytest.raises(OptionError, match=r"is written to .mp4 \(plays everywhere\), .mkv"):
        em.erase_video(frames, holes, tmp_path / "out.avi", "opencv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.mp4"]
