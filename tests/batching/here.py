"""A batch in this process, without Ray: the same reading, making and landing, one part after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from everymask.batching import run as batch_run
from everymask.batching.cluster import Sizing
from everymask.batching.reading import fetch
from everymask.batching.recipe import Prepared, Recipe, prepare
from everymask.batching.storage import persistently
from everymask.batching.work import Photos
from everymask.batching.worker import Made, Worker
from everymask.everything.keep import Keep
from everymask.models.specs import MODELS
from tests.cli.fake_engine import FakeSegmenter


def fake_of(settings: dict) -> FakeSegmenter:
    """The fake segmenter of a process of its own."""
    segmenter = FakeSegmenter({}, {})
    segmenter.settings = settings
    return segmenter


class NoRay:
    """What the run asks of Ray."""

    @staticmethod
    def put(value: object) -> object:
        """The value, not stored anywhere."""
        return value


def made_here(module, recipe, weights, manifest, pending, sizing, segmenter=None) -> Iterator[Made]:
    """As ``pipeline.made_parts``, with the fake segmenter."""
    worker = Worker(
        recipe.keep.after(segmenter or FakeSegmenter({}, {})),
        manifest.place / "air",
        recipe.reading,
        name="here",
        opening=partial(fake_of, manifest.settings),
    )
    worker.segmenter.settings = manifest.settings
    for each in pending:
        for unit in each.units():
            place, kept = manifest.part(unit.name), manifest.kept(unit.name)
            made = worker.make(unit, fetch(unit.entries, pause=0), kept.read() if kept.exists() else None)
            persistently(partial(place.write, made.content), f"cannot write {place}", pause=0)
            yield made


def prepared_here(model, options, reading, objects, sought=None, keep=Keep(), work=Photos()) -> Prepared:
    """As ``recipe.prepare``, without a model."""
    recipe = Recipe(MODELS["nano"], "none", options, reading, objects, keep=keep)
    words = {} if sought is None else {"words": list(sought.words), "detector": sought.detector}
    kept = {"keep": str(keep)} if keep.is_active else {}
    return Prepared(recipe, {}, {"model": str(model), **options, **reading, **words, **kept})


def made_with_model(module, recipe, weights, manifest, pending, sizing) -> Iterator[Made]:
    """As ``pipeline.made_parts``, with the recipe's own model."""
    worker = Worker(recipe.open(weights, "cpu"), manifest.place / "air", recipe.reading, work=recipe.work)
    for each in pending:
        for unit in each.units():
            made = worker.make(unit, fetch(unit.entries, pause=0))
            place = manifest.part(unit.name)
            persistently(partial(place.write, made.content), f"cannot write {place}", pause=0)
            yield made


@contextmanager
def with_a_model(monkeypatch):
    """While it is entered, batches run here, with the model that was asked for."""
    with no_ray(monkeypatch), monkeypatch.context() as patch:
        patch.setattr(batch_run, "prepare", prepare)
        patch.setattr(batch_run, "made_parts", made_with_model)
        yield


@contextmanager
def no_ray(monkeypatch, segmenter=None):
    """While it is entered, batches run here."""
    with monkeypatch.context() as patch:
        patch.setattr(batch_run, "import_ray", lambda: None)
        patch.setattr(batch_run, "prepare", prepared_here)
        patch.setattr(batch_run, "running", lambda address, dashboard=None: nullcontext(NoRay()))
        patch.setattr(batch_run, "sized", lambda *_: Sizing(1, 1.0, 0.0))
        patch.setattr(batch_run, "made_parts", partial(made_here, segmenter=segmenter))
        yield
