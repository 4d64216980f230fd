"""Made clips move, and memory training touches only the memory."""

from dataclasses import replace

import numpy as np
import torch

from everymask.models.load import build
from everymask.models.specs import MODELS, MemorySpec
from everymask.nn.encoders.convnet import ConvSpec
from everymask.train.clips import (
    Bend,
    Light,
    Motion,
    Thing,
    followed_numbers,
    make_clip,
    pick_region,
    varied_clip,
)
from everymask.train.memory import MEMORY_PARTS, begin_memory, prompt_first, train_memory
from everymask.train.scenes import Scene, make_scene
from everymask.train.sources import Bank
from everymask.train.state import TrainOptions, start

TINY = replace(
    MODELS["nano"],
    image_size=64,
    embed_dim=32,
    trunk=ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2),
    memory=MemorySpec(dim=16, layers=1, mlp_dim=32),
)


def draw(rng):
    return make_scene(0, int(rng.integers(1000)), Bank(), side=96)


def clip_source(rng):
    return make_clip(rng, draw, 64, frames=3, objects=2)


def test_the_same_stream_gives_the_same_clip():
    first, second = (clip_source(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.frames, second.frames)
    np.testing.assert_array_equal(first.objects, second.objects)


def test_clips_have_something_to_follow_on_their_first_frame():
    for seed in range(12):
        clip = clip_source(np.random.default_rng(seed))
        assert clip.frames.shape == (3, 64, 64, 3)
        assert clip.objects.shape[1:] == (3, 64, 64)
        assert 1 <= len(clip.objects) <= 2
        assert (clip.objects[:, 0].sum((1, 2)) > 0).all()


def test_frames_differ():
    clip = clip_source(np.random.default_rng(0))
    assert (clip.frames[0] != clip.frames[1]).any()


def test_what_moves_on_its_own_is_followed_before_parts_of_the_scene():
    labels = np.full((20, 20), 3, np.int32)
    labels[:5] = -1
    labels[5:10] = -2
    labels[19, 19] = 7  # too small
    numbers = followed_numbers(np.random.default_rng(0), labels, objects=5)
    assert numbers.tolist() == [-1, -2, 3]


def test_a_thing_in_front_hides_the_one_behind_and_comes_past():
    still = Motion(40, np.zeros(2), np.array([20.0, 20.0]), 1.0, np.zeros(2), 0.0, 0.0, 5.0)
    thing = Thing(np.zeros((10, 10, 3), np.uint8), np.ones((10, 10), np.float32), still)
    crossing = thing.across(np.random.default_rng(0), still, last=10.0)
    away = [np.linalg.norm(crossing.motion.place_at(t) - still.place_px) for t in np.arange(0, 10, 0.25)]
    assert away[0] > 15
    assert min(away) < 2


def test_things_turn_round():
    motion = Motion(40, np.zeros(2), np.zeros(2), 1.0, np.array([1.0, 0.0]), 0.0, 0.0, swing=4.0)
    way = [motion.place_at(t)[0] for t in range(12)]
    assert way[1] > 0.9
    assert max(way) < 4.01
    assert way[11] < way[6]


def test_light_changes_brightness_in_time():
    light = Light(np.full(3, 0.3), period=2.0, phase=0.0)
    gray = np.full((2, 2, 3), 100, np.uint8)
    assert light.fall_on(gray, 0.0)[0, 0, 0] == 100
    assert light.fall_on(gray, np.pi)[0, 0, 0] == int(100 * np.exp(0.3))


def test_clips_for_training_vary_and_stay_within_twelve_object_frames():
    clips = [varied_clip(np.random.default_rng(seed), draw, 64) for seed in range(8)]
    assert len({len(clip.frames) for clip in clips}) > 1
    assert all(len(clip.frames) * len(clip.objects) <= 12 for clip in clips)


def test_every_way_of_prompting_the_first_frame_answers_for_every_object():
    torch.manual_seed(0)
    model = build(TINY)
    clip = clip_source(np.random.default_rng(0))
    truth = torch.from_numpy(clip.objects[:, 0]).float()
    frame = model.encode_frame(model.preprocess(clip.frames[0])[None])
    for seed in range(12):
        seen = prompt_first(model, frame, truth, np.random.default_rng(seed))
        assert seen.mask_logits.shape == (len(truth), 1, 16, 16)
        assert seen.pointer.shape == (len(truth), 32)


def test_a_region_of_middling_size_is_picked():
    labels = np.ones((3, 40, 40), np.uint8)
    labels[:, 10:20, 10:20] = 2
    region = pick_region(np.random.default_rng(0), Scene(np.zeros((40, 40, 3), np.uint8), labels))
    assert region.sum() == 100


def test_memory_training_leaves_the_photo_parts_alone():
    torch.manual_seed(0)
    model = build(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = TrainOptions(
        steps=3, minutes=100, train_parts=MEMORY_PARTS, dense=False, report_steps=1, warmup_steps=1
    )
    state = start(model, options)
    reports = list(train_memory(state, clip_source, options))
    assert [r.step for r in reports] == [1, 2, 3]
    changed = {name for name, value in state.average.state_dict().items() if (value != before[name]).any()}
    assert any(name.startswith("memory_attention") for name in changed)
    assert all(name.startswith(MEMORY_PARTS) for name in changed)


def test_fresh_memory_attention_gives_features_of_the_usual_size():
    torch.manual_seed(0)
    model = build(TINY)
    typical = 3 + 2 * torch.randn(2, 32, 4, 4)
    begin_memory(model, typical)
    out = model.memory_attention(
        typical[:1], model.frame_position(), torch.randn(1, 16, 16), torch.zeros(1, 16, 16)
    )
    assert abs(float(out.std()) - 2) < 0.7
    assert abs(float(out.mean()) - 3) < 0.7


def test_things_can_be_cut_out_of_other_scenes_than_what_is_behind_them():
    def plain(rng):
        return Scene(np.full((96, 96, 3), 9, np.uint8), np.zeros((3, 96, 96), np.uint8))

    def white_square(rng):
        labels = np.zeros((3, 96, 96), np.uint8)
        labels[1, 30:60, 30:60] = 1
        return Scene(np.full((96, 96, 3), 250, np.uint8), labels)

    clip = make_clip(np.random.default_rng(2), plain, 64, 3, 1, draw_thing=white_square)
    first = clip.objects[0, 0]
    assert clip.frames[0][first].mean() > 150
    assert clip.frames[0][~first].mean() < 30


def test_what_is_not_labelled_is_not_cut_out():
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[1, :12] = 3
    region = pick_region(np.random.default_rng(0), Scene(np.zeros((20, 20, 3), np.uint8), labels))
    assert region.sum() == 240


def test_a_bend_is_not_there_at_first_and_moves_things_later():
    region = np.zeros((40, 60), bool)
    region[10:30, 15:45] = True
    bend = Bend.random(np.random.default_rng(0), region)
    share = region.astype(np.float32)
    np.testing.assert_array_equal(bend.apply(share, 0.0), share)
    assert 0 < np.abs(bend.apply(share, bend.period) - share).sum() < 300
