"""The loop learns, saves, continues, and touches only what it is told to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.encoders.convnet import ConvSpec
from everymask.nn.encoders.efficientnet_lite import LiteSpec, LiteStage
from everymask.train import objective
from everymask.train.begin import begin
from everymask.train.loop import learning_rate, train
from everymask.train.losses import LossWeights
from everymask.train.objective import count_clicks, steps_faster_in_bfloat16
from everymask.train.scenes import Scene
from everymask.train.state import TrainOptions, resume, save_state, start

TINY = replace(
    MODELS["nano"],
    image_size=64,
    embed_dim=32,
    trunk=ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2),
    memory=None,
)
STAGES = tuple(LiteStage(8, 1, 3, stride) for stride in (1, 2, 2, 2, 2))
OPTIONS = TrainOptions(minutes=1000, steps=4, batch=2, prompts=4, warmup_steps=2, report_steps=1)


def two_halves(rng: np.random.Generator) -> Scene:
    """A dark and a bright side, the border anywhere."""
    at = int(rng.integers(16, 48))
    photo = np.full((64, 64, 3), 40, np.uint8)
    photo[:, at:] = 200
    labels = np.ones((3, 64, 64), np.uint8)
    labels[:, :, at:] = 2
    return Scene(photo, labels)


def tiny_model() -> Sam2:
    torch.manual_seed(0)
    model = Sam2(TINY)
    begin(model)
    return model


def test_a_run_that_is_killed_and_resumed_continues_exactly(tmp_path):
    options = replace(OPTIONS, final_rate=1.0, bfloat16=False)  # a flat rate: the same in both stretches
    whole = start(tiny_model(), options)
    list(train(whole, two_halves, options))

    first = start(tiny_model(), options)
    list(train(first, two_halves, replace(options, steps=2)))
    save_state(first, tmp_path / "state.pt")
    second = start(tiny_model(), options)
    resume(second, tmp_path / "state.pt")
    assert second.step == 2
    list(train(second, two_halves, options))
    for name, value in whole.average.state_dict().items():
        torch.testing.assert_close(second.average.state_dict()[name], value, msg=name)


def test_training_lowers_the_loss():
    options = replace(OPTIONS, steps=24, learning_rate=3e-3, warmup_steps=5, report_steps=6)
    curve = [r.losses["best"] for r in train(start(tiny_model(), options), two_halves, options)]
    assert curve[-1] < 0.9 * curve[0]


def test_only_the_parts_named_are_trained():
    model = tiny_model()
    before = {name: value.clone() for name, value in model.named_parameters()}
    options = replace(OPTIONS, train_parts=("sam_mask_decoder",))
    list(train(start(model, options), two_halves, options))
    changed = {
        name.split(".")[0] for name, value in model.named_parameters() if (value != before[name]).any()
    }
    assert changed == {"sam_mask_decoder"}


def test_the_rate_warms_up_and_then_falls():
    options = replace(OPTIONS, steps=100, warmup_steps=10, final_rate=0.1)
    state = start(tiny_model(), options)
    rates = []
    for step in (0, 9, 50, 100):
        state.step = step
        rates.append(learning_rate(state, options) / options.learning_rate)
    assert rates == pytest.approx([0.1, 0.98, 0.55, 0.1], abs=0.01)


def test_reports_count_images():
    reports = list(train(start(tiny_model(), OPTIONS), two_halves, OPTIONS))
    assert [r.images for r in reports] == [2, 4, 6, 8]


def test_sequences_of_clicks_and_rough_masks_are_part_of_the_loss():
    options = replace(OPTIONS, corrections=3, most_clicks=5, rough_masks=1, bfloat16=False)
    (*_, last) = train(start(tiny_model(), options), two_halves, options)
    assert {"corrected", "at_once", "rough", "obey"} <= last.losses.keys()
    assert all(np.isfinite(value) for value in last.losses.values())


def test_the_number_of_clicks_varies_up_to_the_most():
    counts = {count_clicks(replace(OPTIONS, most_clicks=5), step) for step in range(60)}
    assert counts == {2, 3, 4, 5}
    assert {count_clicks(OPTIONS, step) for step in range(9)} == {2}


def test_photos_with_unknown_parts_teach_too():
    def one_object(rng):
        scene = two_halves(rng)
        labels = np.zeros_like(scene.labels)
        labels[1] = scene.labels[1] == 2
        return Scene(scene.photo, labels)

    options = replace(OPTIONS, bfloat16=False)
    (*_, last) = train(start(tiny_model(), options), one_object, options)
    assert last.losses["edges"] == 0
    assert last.losses["dense"] > 0


def test_a_pretrained_network_is_never_trained():
    spec = replace(TINY.trunk, pretrained=LiteSpec(stem=8, stages=STAGES, classes=0))
    torch.manual_seed(0)
    model = Sam2(replace(TINY, trunk=spec))
    begin(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = replace(OPTIONS, bfloat16=False)
    list(train(start(model, options), two_halves, options))
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert "image_encoder.trunk.joints.0.conv.weight" in changed
    assert not any(".pretrained." in name for name in changed)


def test_a_fresh_second_task_leaves_the_encoder_alone_at_first():
    options = replace(
        OPTIONS,
        steps=1,
        dense_after=5,
        bfloat16=False,
        weights=LossWeights(*[0.0] * 4, iou=0, single=0, object_score=0, calm=0, disobeyed=0),
    )
    state = start(tiny_model(), options)
    list(train(state, two_halves, options))
    gradients = [
        p.grad.abs().max().item() for p in state.model.image_encoder.parameters() if p.grad is not None
    ]
    assert max(gradients) == 0
    assert state.dense is not None
    assert state.dense.embed.weight.grad.abs().max() > 0


@pytest.mark.parametrize("width", [32, 256])
def test_narrow_models_train_in_float32_on_a_cpu_with_bfloat16_units(monkeypatch, width):
    monkeypatch.setattr(objective, "fast_dtype", lambda device: torch.bfloat16)
    model = Sam2(replace(TINY, embed_dim=width))
    assert steps_faster_in_bfloat16(model) == (width == 256)
