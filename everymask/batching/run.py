"""``em.batch``: masks of any number of photos, on this machine or a cluster, exactly once each."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..errors import BatchError, InputError, OptionError
from ..everything.keep import Keep
from ..everything.objects import Objects
from ..everything.settings import short_hash
from ..media.photos import read_photo
from ..models.base import PromptableModel
from ..words.find import read_words
from ..words.segmenter import Sought
from .cluster import check_dashboard, import_ray, running, sized
from .counters import Counters
from .estimate import Estimate, Sample
from .listing import Entry, Search, find_entries
from .manifest import PREFIX, Manifest, open_manifest
from .pipeline import BrokenOff, made_parts, measured_there
from .plan import PartSize, Plan, make_plan
from .recipe import prepare
from .retry import set_failures_aside
from .storage import TRIES, Place, persistently
from .task import Task
from .worker import Made

REPORT = "report.json"
SLOWEST = 10
"""Photos told in a summary."""
READING = {"range": "percentile", "page": None}
"""How photos are read by default."""
FAILURES_TOLD = 1000
"""In a report; the rows hold all of them."""


@dataclass
class Summary:
    """What a batch run did."""

    manifest: str
    """The folder with plan and parts."""
    photos: int = 0
    """All that are planned."""
    kept: int = 0
    """Of these, in parts that had landed before."""
    done: int = 0
    """Made now, failures among them."""
    masks: int = 0
    """Of those made now."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Names and reasons of photos that failed now, the first thousand."""
    failures: int = 0
    seconds: float = 0.0
    by_worker: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Photos made, and seconds spent on them, of each worker."""
    slowest: list[tuple[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scores: dict[str, Any] | None = None
    """Of an evaluation: those of all photos, as ``everymask evaluate`` says them."""

    def add(self, made: Made) -> None:
        """Count a part that has landed."""
        self.done += made.photos
        self.masks += made.masks
        self.failures += len(made.failed)
        self.failed += made.failed[: max(0, FAILURES_TOLD - len(self.failed))]
        photos, seconds = self.by_worker.get(made.worker, (0, 0.0))
        self.by_worker[made.worker] = photos + made.photos, seconds + made.seconds
        self.slowest = sorted([*self.slowest, made.slowest], key=lambda each: -each[1])[:SLOWEST]

    @property
    def parts_folder(self) -> str:
        """Where the Parquet parts are."""
        return f"{self.manifest}/parts"

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return {
            "manifest": self.manifest,
            "parts": self.parts_folder,
            "photos": self.photos,
            "kept": self.kept,
            "done": self.done,
            "masks": self.masks,
            "failures": self.failures,
            "failed": [{"photo": name, "reason": reason} for name, reason in self.failed],
            "seconds": round(self.seconds, 3),
            "workers": {
                name: {"photos": photos, "photos_per_second": round(photos / max(seconds, 1e-9), 3)}
                for name, (photos, seconds) in self.by_worker.items()
            },
            "slowest": [{"photo": name, "seconds": seconds} for name, seconds in self.slowest],
            "notes": self.notes,
            **({} if self.scores is None else {"scores": self.scores}),
        }


class Watch(Protocol):
    """What hears of a run's progress; the command line shows it."""

    def listed(self, photos: int) -> None:
        """So many photos have been listed."""

    def planned(self, plan: Plan, manifest: Manifest) -> None:
        """The plan is made."""

    def made(self, part: Made) -> None:
        """A part has landed."""

    def broken_off(self, why: str) -> None:
        """Ray could not go on, and is started anew next. Where its node has died, this process may end."""

    def dashboard(self, address: str) -> None:
        """Ray's dashboard is to be seen at this address."""


class Silent:
    """Hears of everything and says nothing: to be built upon."""

    def listed(self, photos: int) -> None:
        """So many photos have been listed."""

    def planned(self, plan: Plan, manifest: Manifest) -> None:
        """The plan is made."""

    def made(self, part: Made) -> None:
        """A part has landed."""

    def broken_off(self, why: str) -> None:
        """Ray could not go on, and is started anew next. Where its node has died, this process may end."""

    def dashboard(self, address: str) -> None:
        """Ray's dashboard is to be seen at this address."""


def batch(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    model: str | os.PathLike[str] | PromptableModel = "nano",
    *,
    ray: str | None = None,
    actors: int | None = None,
    cpus_per_actor: float | None = None,
    gpus_per_actor: float | None = None,
    recursive: bool = False,
    column: str | None = None,
    side_files: bool = True,
    range: Any = "percentile",
    page: int | None = None,
    bands: Sequence[int] | None = None,
    objects: Objects = Objects(),
    keep: Keep = Keep(),
    photos_per_part: int = 64,
    text: str | Sequence[str] = (),
    detector: str | None = None,
    threshold: float | None = None,
    at_most: int | None = None,
    work: str = "segment",
    prompts: str | os.PathLike[str] | None = None,
    look_every: int = 30,
    most_objects: int = 16,
    masks: str | os.PathLike[str] | None = None,
    clicks: int = 0,
    only_prompts: bool = False,
    retry_failed: bool = False,
    metrics_port: int | None = None,
    dashboard: bool = False,
    listed: Iterable[str] = (),
    watch: Watch | None = None,
    **options: Any,
) -> Summary:
    """Every object of many photos, as Parquet parts in ``output``, with Ray Data (extra ``batch``).

    ``inputs`` are folders, globs, photos, ``.tar`` (WebDataset) and ``.parquet`` shards, ``.txt`` lists,
    here or in object storage (``s3://``, ``gs://``, ``hf://``); ``"-"`` stands for the addresses in
    ``listed``. Folders of object storage that such addresses name are listed once for the files beside them
    (world files, ``.aux.xml``, ``.msk``), but with ``side_files=False``. The masks are those of
    :func:`everymask.segment` with the same ``model`` and ``options``, or with ``text`` those of
    :func:`everymask.find` with the same ``detector``, ``threshold`` and ``at_most``; ``keep`` says which of
    them stay, as ``MaskSet.filter`` does.
    ``output`` gets a folder per model and settings; in its ``parts`` a row a photo, also for one that
    failed three times, with the reason. The same call again does what is missing.

    With ``work="track"`` the files are video clips, and a row is a clip: every object of it is followed, what
    ``text`` names, or what a table of ``prompts`` points at (a row a click or box: clip, frame, object, x, y,
    label, x0, y0, x1, y1, name). The masks are those of ``everymask track`` with the same ``look_every`` and
    ``most_objects``; options of photos do not go with it. With ``work="evaluate"`` the model is measured on
    photos with ``masks`` (a file, a folder, or beside them), as ``everymask evaluate`` does it:
    ``Summary.scores``.

    ``ray`` is ``"auto"`` or ``"HOST:PORT"`` of a cluster that runs; by default one is started here and
    ended. An actor holds one model: ``actors`` of them (default: as many as fit), each with
    ``cpus_per_actor`` cores and ``gpus_per_actor`` GPUs (0.5: two share one). ``retry_failed`` does photos
    again that failed before. ``metrics_port`` serves Prometheus counters while it runs, ``dashboard`` shows
    Ray's own (``pip install 'ray[default]'``) for a Ray that is started here.

    Raises InputError, OptionError, what :func:`everymask.load` raises, and BatchError where Ray or the output
    does not do its part; parts that have landed stay.
    """
    begun = time.monotonic()
    import_ray()  # what is missing is said at once
    if dashboard:
        check_dashboard(ray)
    watch = watch or Silent()
    counters = Counters()
    reading = reading_of(range, page, bands)
    search = Search(recursive, column, side_files=side_files)
    sought = sought_of(text, detector, threshold, at_most, objects)
    table, known = (None if each is None else os.fspath(each) for each in (prompts, masks))
    task = Task(work, table, look_every, most_objects, known, clicks, only_prompts)
    job = Job.prepare(inputs, output, model, reading, objects, options, search, sought, keep, task)
    manifest, note = open_manifest(job.output, job.settings)
    with alone(manifest), counters.served(metrics_port):
        if retry_failed:
            set_failures_aside(manifest)
        plan = job.plan(manifest, listed, PartSize(photos_per_part), watch)
        summary = Summary(str(manifest.place), plan.photos, plan.done, notes=[note] * bool(note))
        counters.planned(plan)
        watch.planned(plan, manifest)
        broken = 0
        while plan.pending:
            landed = summary.done
            try:
                with running(ray, watch.dashboard if dashboard else None) as module:
                    sizing = sized(module, actors, cpus_per_actor, gpus_per_actor, plan.parts)
                    weights = module.put(job.state)
                    try:
                        for made in made_parts(module, job.recipe, weights, manifest, plan.pending, sizing):
                            summary.add(made)
                            counters.made(made)
                            watch.made(made)
                    except BrokenOff as error:
                        watch.broken_off(str(error))  # now: taking leave of a node that died ends the process
                        raise
                break
            except BrokenOff as error:
                plan = make_plan(manifest, ())
                summary.done = plan.done - summary.kept  # some may have landed untold
                broken = broken + 1 if summary.done == landed else 1
                if broken == TRIES:
                    raise
                summary.notes.append(f"{error}; went on with what had not landed")
        parts = manifest.place / "parts"
        summary.scores = job.recipe.work.concluded([parts / name for name in parts.names()])
        summary.seconds = time.monotonic() - begun
        report = json.dumps(
            {**summary.to_dict(), "settings": manifest.settings}, indent=2, ensure_ascii=False
        )
        persistently(
            lambda: (manifest.place / REPORT).write(report.encode(errors="backslashreplace")),
            f"cannot write {manifest.place / REPORT}",
        )
    return summary


def sought_of(
    text: str | Sequence[str],
    detector: str | None,
    threshold: float | None,
    at_most: int | None,
    objects: Objects,
) -> Sought | None:
    """What words say is looked for; None where there are none. Raises PromptError and OptionError."""
    if not text:
        return None
    if objects != Objects():
        raise OptionError("words say which masks there are; leave out fill_gaps, merge and level")
    return Sought.checked(read_words(text), detector, threshold, at_most)


def reading_of(range: Any, page: int | None, bands: Sequence[int] | None) -> dict[str, Any]:
    """How photos are read, by the names of ``read_photo``; a wrong rule is said once, not by each photo."""
    reading: dict[str, Any] = {"range": range, "page": page}
    if bands is not None:
        reading["bands"] = tuple(bands)
    read_photo(np.zeros((1, 1), np.uint8), range=range)
    return reading


@dataclass(frozen=True)
class Job:
    """What is to be done, before anything is written."""

    inputs: tuple[str, ...]
    output: Place
    recipe: Any
    state: dict[str, Any]
    settings: dict[str, Any]
    search: Search

    @classmethod
    def prepare(
        cls,
        inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        output: str | os.PathLike[str],
        model: str | os.PathLike[str] | PromptableModel,
        reading: dict[str, Any],
        objects: Objects,
        options: dict[str, Any],
        search: Search,
        sought: Sought | None = None,
        keep: Keep = Keep(),
        task: Task = Task(),
    ) -> Job:
        """Check everything and read the weights."""
        words = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
        if not words:
            raise InputError("name photos: folders, globs, shards or lists")
        place = Place.of(output)
        given = {name: value != READING.get(name) for name, value in reading.items()}
        of_photos = {
            **given,
            "keep": keep.is_active,
            "objects": objects != Objects(),
            "column": bool(search.column),
        }
        work, own_reading = task.checked(sought, options, of_photos)
        how = reading if own_reading is None else own_reading
        ready = prepare(model, options, how, objects, sought, keep, work)
        has_side_files = search.side_files and ".jpg" in work.suffixes
        skipping = replace(search, skip=(place.address,), suffixes=work.suffixes, side_files=has_side_files)
        named = tuple(os.fspath(word) for word in words)
        return cls(named, place, ready.recipe, ready.state, ready.settings, skipping)

    def plan(self, manifest: Manifest, listed: Iterable[str], size: PartSize, watch: Watch) -> Plan:
        """Find the photos and plan those that are new. Raises :class:`InputError` where there are none."""
        plan = make_plan(manifest, self.entries(listed), size, watch.listed)
        if not plan.photos:
            raise InputError(self.nothing())
        return plan

    def entries(self, listed: Iterable[str]) -> Iterator[Entry]:
        """The photos meant."""
        settled = map(self.recipe.work.settled, find_entries(self.inputs, listed, self.search))
        return (entry for entry in settled if entry is not None)

    def estimate(
        self,
        ray: str | None,
        actors: int | None,
        cpus: float | None,
        gpus: float | None,
        listed: Iterable[str] = (),
        price: float | None = None,
    ) -> Estimate:
        """What the run would take: ten photos done by one actor, nothing written."""
        sample = Sample()
        manifest = Manifest(self.output / f"{PREFIX}{short_hash(self.settings)}", self.settings)
        plan = make_plan(manifest, sample.passing(self.entries(listed)), write=False)
        if not sample.photos:
            raise InputError(self.nothing())
        with running(ray) as module:
            sizing = sized(module, actors, cpus, gpus, plan.photos)
            measured = measured_there(module, self.recipe, module.put(self.state), sizing, sample.drawn)
        return Estimate(plan.photos, plan.done, sample.bytes, measured, sizing.actors, price)

    def nothing(self) -> str:
        """What to say where there are no photos."""
        deeper = "" if self.search.recursive else "; --recursive looks deeper"
        return f"no {self.recipe.work.called} in {', '.join(self.inputs)}{deeper}"


@contextmanager
def alone(manifest: Manifest) -> Iterator[None]:
    """One run at a time in a local output. In object storage two runs make the same parts, which costs time
    and no more; two that plan at once are told apart by the plan."""
    if not manifest.place.is_local:
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(manifest.place.path / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BatchError(
            f"another run is at work in {manifest.place}; wait for it, or choose another -o"
        ) from error
    try:
        yield
    finally:
        lock.release()
