"""Batches of views: the same for the same random stream; worker processes make different ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from everymask.errors import TrainingError
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.train.objective import make_batch
from everymask.train.scenes import make_scene
from everymask.train.sources import Bank
from everymask.train.state import TrainOptions
from everymask.train.views import ScenePool, StreamOptions, make_views, stream_views

SMALL = StreamOptions(images=2, prompts=3, side=64, scene_side=96, first=2, pool=3, views_per_scene=1)


def scene_source(rng: np.random.Generator):
    return make_scene(0, int(rng.integers(100)), Bank(), side=64)


def test_the_same_stream_gives_the_same_views() -> None:
    first, second = (make_views(np.random.default_rng(4), scene_source, 2, 3) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
    assert first.photos.shape == first.labels.shape == (2, 3, 64, 64)
    assert [len(x) for x in first[2:]] == [6, 6, 6]


def test_a_batch_is_what_the_model_makes_of_each_photo() -> None:
    views = make_views(np.random.default_rng(1), scene_source, 2, 3)
    for family, name in ((Sam2, "nano"), (Sam, "mobile_sam")):
        model = family(replace(MODELS[name], image_size=64))
        batch = make_batch(views, model, TrainOptions(), step=0)
        photos = [photo.permute(1, 2, 0).numpy() for photo in views.photos]
        alone = torch.stack([model.preprocess(photo) for photo in photos])
        assert torch.allclose(batch.pixels, alone, atol=1e-5)
        assert batch.truths.shape == (6, 3, 16, 16)
        rows = torch.arange(6)
        x, y = views.clicks.long().unbind(1)
        assert (batch.meant[rows, y // 4, x // 4] > 0).all()


def test_workers_paint_scenes_of_their_own() -> None:
    stream = stream_views(SMALL, workers=2)
    one, other = next(stream), next(stream)
    assert one.photos.shape == (2, 3, 64, 64)
    assert not torch.equal(one.photos, other.photos)


def test_a_worker_that_fails_is_told_of(tmp_path) -> None:
    stream = stream_views(replace(SMALL, bank=str(tmp_path / "missing")), workers=1)
    with pytest.raises(TrainingError, match="1 of 1 processes"):
        next(stream)


def test_old_scenes_give_way() -> None:
    pool = ScenePool(Bank(), SMALL, seed=0)
    for _ in range(4):
        pool.grow()
    assert len(pool.scenes) == 3
    later = make_scene(0, 3, Bank(), SMALL.scene_side)
    assert np.array_equal(pool.scenes[0].labels, later.labels)
