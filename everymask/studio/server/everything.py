"""Everything mode in the background: progress to whoever listens, an end at any time, then the masks."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import Any

from everymask import AutomaticMaskGenerator, EverymaskError, MaskSet
from everymask.everything.generate import Progress

from ..session import Session

KEPT = 8
"""Finished runs whose masks are kept."""


class _CancelledError(Exception):
    """Raised within a run that is no longer wanted."""


@dataclass(eq=False)
class Job:
    """One run of everything mode."""

    id: int
    photo: int
    options: dict[str, Any]
    state: str = "running"  # then "done", "cancelled" or "failed"
    error: str | None = None
    masks: MaskSet | None = None
    wanted: bool = True
    done: int = 0
    total: int = 0
    found: int = 0

    def to_json(self) -> dict[str, Any]:
        """Where the run is."""
        names = ("id", "photo", "state", "error", "done", "total", "found", "options")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """The runs of a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)

    def start(self, photo: int, options: dict[str, Any]) -> Job:
        """Begin a run; one that is under way on the same photo ends. Raises OptionError for an option."""
        generator = AutomaticMaskGenerator(self.session.photos.model, **options)
        for other in self._jobs.values():
            if other.photo == photo:
                other.wanted = False
        job = Job(next(self._numbers), photo, options)
        self._jobs[job.id] = job
        for old in list(self._jobs)[:-KEPT]:
            self._jobs.pop(old).wanted = False
        threading.Thread(
            target=self._run, args=(job, generator), name=f"everything {job.id}", daemon=True
        ).start()
        return job

    def get(self, id: int) -> Job:
        """A run. Raises KeyError where it is not known (any more)."""
        return self._jobs[id]

    def cancel(self, id: int) -> None:
        """End a run; nothing happens where it has ended."""
        self._jobs[id].wanted = False

    def _run(self, job: Job, generator: AutomaticMaskGenerator) -> None:
        def progress(at: Progress) -> None:
            if not job.wanted:
                raise _CancelledError
            job.done, job.total, job.found = at.points_done, at.points, at.candidates
            self._tell(job)

        try:
            job.masks = generator.generate(self.session.photos.picture(job.photo).pixels, progress)
            job.state = "done"
        except _CancelledError:
            job.state = "cancelled"
        except EverymaskError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:  # memory, a broken model: the page is told, the server lives
            job.state, job.error = "failed", f"{type(error).__name__}: {error}"
        self._tell(job)

    def _tell(self, job: Job) -> None:
        self.session.tell({"type": "job", **job.to_json()})
