"""A recorded step is the step itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.train.begin import begin
from everymask.train.graphed import GraphedStep, plain_views
from everymask.train.loop import train_step
from everymask.train.objective import make_batch
from everymask.train.scenes import make_scene
from everymask.train.sources import Bank
from everymask.train.state import TrainOptions, start
from everymask.train.views import make_views

OPTIONS = TrainOptions(batch=2, prompts=8, optimiser="muon", learning_rate=1e-4, warmup_steps=1)


def small_model() -> Sam2:
    torch.manual_seed(0)
    model = Sam2(replace(MODELS["nano"], image_size=128))
    begin(model)
    return model


def test_plain_views_have_the_shapes_of_drawn_ones() -> None:
    rng = np.random.default_rng(0)
    drawn = make_views(rng, lambda _: make_scene(0, 0, Bank(), 128), OPTIONS.batch, OPTIONS.prompts)
    for plain, other in zip(plain_views(OPTIONS, 128), drawn, strict=True):
        assert plain.shape == other.shape
        assert plain.dtype == other.dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="recordings need a GPU")
def test_a_recorded_step_moves_the_weights_as_a_step_does() -> None:
    model = small_model()
    recorded, plain = (start(small_model().cuda(), OPTIONS) for _ in range(2))
    learn = GraphedStep(recorded, OPTIONS)
    for step in range(3):
        views = make_views(
            np.random.default_rng(step), lambda r: make_scene(0, int(r.integers(9)), Bank(), 128), 2, 8
        )
        batch = make_batch(views, plain.model, OPTIONS, step)
        ours, theirs = learn(batch), train_step(plain, OPTIONS, batch)
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=0.02, atol=1e-3, msg=name)
    before = dict(model.named_parameters())
    moved, apart = 0.0, 0.0
    others = dict(recorded.model.named_parameters())
    with torch.no_grad():
        for name, value in plain.model.named_parameters():
            moved += float((value.cpu() - before[name]).square().sum())
            apart += float((value - others[name]).square().sum())
    assert moved > 0
    assert apart < 0.02 * moved
