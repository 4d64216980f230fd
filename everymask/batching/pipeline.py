"""A plan on Ray Data: tasks read a part's photos, actors with a model each make its rows, tasks write them.

A block is a part, from its photos' bytes to its Parquet file, so that Ray's back-pressure and retries count
in parts, and a part made twice lands once.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from ..errors import BatchError, EverymaskError, require
from ..everything.settings import as_read_back
from .cluster import Sizing
from .estimate import Measured, measure
from .listing import Entry
from .manifest import Manifest
from .plan import Pending, Unit
from .reading import Fetched, fetch
from .recipe import Recipe
from .storage import TRIES, persistently
from .worker import Made, Worker

READ_CPUS = 0.05
"""Of a task that reads or writes: it waits for most of its time."""
ACTOR_SHARE = 0.9
"""Of its cores that an actor asks Ray for: were every core taken by actors, no task could ever read."""
READERS_AN_ACTOR = 2
"""Parts that are read at once for each actor, several photos of each at once."""
PARTS_A_TASK = 16
"""Parts that a task reads one after the other, at most."""
TASKS_AN_ACTOR = 8
"""Reading tasks that there are at least for each actor, so that all have work to the end."""


def made_parts(
    module: Any, recipe: Recipe, weights: Any, manifest: Manifest, pending: Sequence[Pending], sizing: Sizing
) -> Iterator[Made]:
    """Make and land the parts of ``pending``; each is handed out, without its content, when it has landed.

    ``weights`` is the model's state in the object store. Raises :class:`BatchError`.
    """
    data = module.data
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_consecutive_actor_init_deaths = TRIES - 1
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    slices = _slices(pending, sizing.actors)
    dataset = data.read_datasource(
        _source(data, slices, manifest),
        num_cpus=READ_CPUS,
        concurrency=READERS_AN_ACTOR * sizing.actors,
        override_num_blocks=len(slices),
    )
    dataset = dataset.map_batches(
        ModelActor,
        fn_constructor_args=(recipe, [weights], manifest, sizing.threads, sizing.gpus > 0),
        batch_size=1,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=sizing.actors),
        num_cpus=sizing.cpus * ACTOR_SHARE,
        num_gpus=sizing.gpus,
    )
    dataset = dataset.map_batches(
        _land,
        fn_args=(manifest,),
        batch_size=None,
        batch_format="pyarrow",
        compute=data.TaskPoolStrategy(size=sizing.actors),
        num_cpus=READ_CPUS,
    )
    return _told(module, dataset)


def _told(module: Any, dataset: Any) -> Iterator[Made]:
    """What a data set tells of each part. Raises BatchError; :class:`BrokenOff` is worth another try."""
    try:
        for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for text in block.column("made").to_pylist():
                yield _from_json(text)
    except Exception as error:
        if not (isinstance(error, module.exceptions.RayError) or _raised_in(error, module.__name__)):
            raise
        ours, text = _cause(error)
        raise (BatchError if ours else BrokenOff)(text) from error


def _raised_in(error: BaseException, package: str) -> bool:
    """Whether an exception comes from a package's own code. When a node dies, Ray Data looks for what it no
    longer has, and raises bare KeyErrors."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_by = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    return raised_by == package or raised_by.startswith(f"{package}.")


class BrokenOff(BatchError):
    """Ray could not go on: a process of its own died. Nothing that was asked for is wrong."""


def _cause(error: BaseException) -> tuple[bool, str]:
    """Whether what went wrong in a worker was said by us, and it as one line."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, BatchError):
            return True, str(inner)
        inner = getattr(inner, "cause", None) or inner.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "BatchError: " in line]
    if named:
        return True, named[-1].partition("BatchError: ")[2]
    return False, f"the run broke off in Ray: {lines[-1] if lines else ''} ({type(error).__name__})"


def _slices(pending: Sequence[Pending], actors: int) -> list[Pending]:
    """The plan's missing parts, a few for each task that reads."""
    parts = sum(len(each.numbers) for each in pending)
    count = max(1, min(PARTS_A_TASK, parts // (actors * TASKS_AN_ACTOR)))
    return [
        Pending(each.shard, each.numbers[start : start + count], each.without)
        for each in pending
        for start in range(0, len(each.numbers), count)
    ]


def _source(data: Any, slices: Sequence[Pending], manifest: Manifest) -> Any:
    """The photos of a plan as Ray Data reads them: a block a part."""
    block = require("ray.data.block", "batch", "everymask batch")
    source = require("ray.data.datasource", "batch", "everymask batch")
    kept = set((manifest.place / "kept").names())

    class Photos(source.Datasource):  # type: ignore[misc, name-defined]
        def get_name(self) -> str:
            return "Photos"

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            return [
                source.ReadTask(
                    _Reading(each, manifest, kept),
                    block.BlockMetadata(
                        num_rows=len(each.numbers), size_bytes=None, input_files=None, exec_stats=None
                    ),
                )
                for each in slices
            ]

    return Photos()


@dataclass
class _Reading:
    """What one reading task does."""

    pending: Pending
    manifest: Manifest
    kept: set[str]

    def __call__(self) -> Iterator[Any]:
        pyarrow = require("pyarrow", "batch", "everymask batch")
        for unit in self.pending.units():
            place = self.manifest.kept(unit.name)
            earlier = persistently(place.read, f"cannot read {place}") if place.name in self.kept else None
            fetched = fetch(unit.entries)
            yield pyarrow.table(
                {
                    "unit": pyarrow.array([_pack(unit, fetched)]),
                    "photos": pyarrow.array(
                        [[each.content for each in fetched]], pyarrow.list_(pyarrow.large_binary())
                    ),
                    "kept": pyarrow.array([earlier], pyarrow.large_binary()),
                }
            )


def _pack(unit: Unit, fetched: Sequence[Fetched]) -> bytes:
    """All but the photos' bytes."""
    import pickle  # between our own processes, as Ray does it

    return pickle.dumps((unit, [(each.error, each.tries, each.beside) for each in fetched]))


def _unpack(packed: bytes, photos: Sequence[bytes | None]) -> tuple[Unit, list[Fetched]]:
    import pickle

    unit, told = pickle.loads(packed)
    return unit, [Fetched(content, *each) for content, each in zip(photos, told, strict=True)]


def _opening(recipe: Recipe, weights: list[Any], on_gpu: bool, threads: int) -> Callable[[], Any]:
    """What makes a segmenter with a model of its own, from the weights in the object store."""
    state = require("ray", "batch", "everymask batch").get(weights[0])
    return partial(_opened, recipe, state, "cuda" if on_gpu else "cpu", threads)


def _opened(recipe: Recipe, state: Mapping[str, Any], device: str, threads: int) -> Any:
    require("torch", "batch", "everymask batch").set_num_threads(threads)
    return recipe.open(state, device)


def measured_there(
    module: Any, recipe: Recipe, weights: Any, sizing: Sizing, entries: Sequence[Entry]
) -> Measured:
    """Do some photos where an actor would do them."""

    def there(held: list[Any]) -> Measured:
        opening = _opening(recipe, held, sizing.gpus > 0, sizing.threads)
        return measure(opening(), dict(recipe.reading), entries, recipe.work)

    task = module.remote(there).options(num_cpus=sizing.cpus * ACTOR_SHARE, num_gpus=sizing.gpus)
    try:
        return module.get(task.remote([weights]))
    except module.exceptions.RayTaskError as error:
        if isinstance(error.cause, EverymaskError):
            raise error.cause from None
        raise BatchError(_cause(error)[1]) from error
    except module.exceptions.RayError as error:
        raise BatchError(_cause(error)[1]) from error


class ModelActor:
    """A model in a process of its own, which Ray hands part after part."""

    def __init__(
        self, recipe: Recipe, weights: list[Any], manifest: Manifest, threads: int, on_gpu: bool
    ) -> None:
        self._threads = threads
        if not (manifest.place / "manifest.json").exists():
            raise BatchError(
                f"a worker does not see {manifest.place}; write to a folder that all nodes share, or to s3://"
            )
        opening = _opening(recipe, weights, on_gpu, threads)
        segmenter = opening()
        if as_read_back(segmenter.settings) != manifest.settings:
            raise BatchError(
                "a worker has other settings than the run; install the same everymask on all nodes"
            )
        self._worker = Worker(
            segmenter, manifest.place / "air", recipe.reading, threads, opening, recipe.work
        )

    def __call__(self, table: Any) -> Any:
        """A part's photos (one row) to its file (one row)."""
        pyarrow = require("pyarrow", "batch", "everymask batch")
        require("torch", "batch", "everymask batch").set_num_threads(self._threads)  # holds for a thread
        made = []
        for row in table.to_pylist():
            unit, fetched = _unpack(row["unit"], row["photos"])
            made.append(self._worker.make(unit, fetched, row["kept"]))
        return pyarrow.table(
            {
                "made": [_to_json(each) for each in made],
                "content": pyarrow.array([each.content for each in made], pyarrow.large_binary()),
            }
        )


def _land(table: Any, manifest: Manifest) -> Any:
    """Write parts; what is told of them stays."""
    for row in table.to_pylist():
        place = manifest.part(json.loads(row["made"])["unit"])
        persistently(partial(place.write, row["content"]), f"cannot write {place}")
    return table.select(["made"])


def _to_json(made: Made) -> str:
    values: Mapping[str, Any] = {**asdict(made), "content": ""}
    return json.dumps(values)


def _from_json(text: str) -> Made:
    values = json.loads(text)
    failed = tuple((name, reason) for name, reason in values.pop("failed"))
    name, seconds = values.pop("slowest")
    return Made(**{**values, "content": b""}, failed=failed, slowest=(name, seconds))
