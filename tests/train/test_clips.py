"""Made clips move, and memory training touches only the memory."""

from dataclasses import replace

import numpy as np
import torch

from everymask.models.load import build
from everymask.models.specs import MODELS, MemorySpec
from everymask.nn.encoders.convnet import ConvSpec
from everymask.train.clips import make_clip, pick_region
from everymask.train.loop import TrainOptions
from everymask.train.memory import MEMORY_PARTS, begin_memory, train_memory
from everymask.train.scenes import Scene, make_scene
from everymask.train.sources import Bank

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
    reports = list(train_memory(model, clip_source, options))
    assert [r.step for r in reports] == [1, 2, 3]
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
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
