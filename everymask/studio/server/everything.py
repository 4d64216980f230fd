"""Everything mode: a run in the background gives Findings; thresholds are then answered without the model.

Progress is told to whoever listens, and a run can be ended at any time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from everymask import AutomaticMaskGenerator, EverymaskError, InputError, Mask
from everymask.everything.findings import THRESHOLDS, Findings
from everymask.everything.presets import PRESETS
from everymask.everything.progress import Progress

from ..session import Session

KEPT = 6
"""Runs whose findings are kept; each may hold some hundred megabytes."""

BINS = 40
OPEN = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
"""Thresholds under which histograms show what there is to choose from."""


class _CancelledError(Exception):
    """Raised within a run that is no longer wanted."""


@dataclass(eq=False)
class Job:
    """One run of everything mode, and what it found."""

    id: int
    photo: int
    options: dict[str, Any]
    state: str = "running"  # then "done", "cancelled" or "failed"
    error: str | None = None
    findings: Findings | None = None
    wanted: bool = True
    done: int = 0
    total: int = 0
    found: int = 0
    histograms: dict[str, list[int]] | None = None
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def to_json(self) -> dict[str, Any]:
        """Where the run is."""
        names = ("id", "photo", "state", "error", "done", "total", "found", "options", "histograms")
        values = {name: getattr(self, name) for name in names}
        if self.findings is not None:
            options = asdict(self.findings.options)
            values["thresholds"] = {name: options[name] for name in (*THRESHOLDS, "crop_n_layers")}
        return values

    def masks(self, thresholds: Mapping[str, Any], known: int, levels: bool = False) -> dict[str, Any]:
        """The masks under some thresholds, by numbers that stay; in full those from ``known`` on.

        Raises OptionError for a threshold that findings cannot answer.
        """
        masks = self._findings().masks(**thresholds)
        with self._lock:
            numbered = [(self._number(mask), mask) for mask in masks]
        return {
            "numbers": [number for number, _ in numbered],
            "scores": [[mask.predicted_iou, mask.stability_score] for _, mask in numbered],
            "fresh": [_full(number, mask) for number, mask in numbered if number >= known],
            "levels": masks.tree().depths.tolist() if levels else None,
        }

    def why(self, x: float, y: float, thresholds: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What became of each candidate at a place, and which change brings it back."""
        reasons = self._findings().why(x, y, **thresholds)[:8]
        return [self._told(reason) for reason in reasons]

    def _told(self, reason: Any) -> dict[str, Any]:
        remedy = reason.remedy
        return {
            "rule": reason.rule,
            "text": reason.text,
            "predicted_iou": reason.predicted_iou,
            "stability_score": reason.stability_score,
            "bbox": list(reason.bbox),
            "changes": None if remedy is None else dict(remedy.changes),
            "remedy": None if remedy is None else str(remedy),
        }

    def _findings(self) -> Findings:
        if self.findings is None:
            raise InputError(f"run {self.id} is {self.state}; its masks are there when it is done")
        return self.findings

    def _number(self, mask: Mask) -> int:
        return self._numbers.setdefault(mask.runs.counts.tobytes(), len(self._numbers) + 1)


class Jobs:
    """The runs of a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)

    def start(self, photo: int, options: dict[str, Any]) -> Job:
        """Begin a run; one that is under way on the same photo ends. Raises OptionError for an option."""
        options = self._resolved(options)
        generator = AutomaticMaskGenerator(self.session.photos.model, **options)
        for other in self._jobs.values():
            if other.photo == photo:
                other.wanted = False
        job = Job(next(self._numbers), photo, options)
        self._jobs[job.id] = job
        for old in list(self._jobs)[:-KEPT]:
            self._jobs.pop(old).wanted = False
        threading.Thread(target=self._run, args=(job, generator), daemon=True).start()
        return job

    def _resolved(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options without the name of a preset that only this session has."""
        name = options.get("preset")
        if not isinstance(name, str) or name in PRESETS or name not in self.session.presets:
            return options
        rest = {key: value for key, value in options.items() if key != "preset"}
        return {**self.session.presets[name].options, **rest}

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
            picture = self.session.photos.picture(job.photo)
            findings = generator.explore(picture.pixels, progress, valid=picture.valid)
            findings.masks()  # measured once, so that the first look at it is quick
            job.findings, job.state = findings, "done"
        except _CancelledError:
            job.state = "cancelled"
        except EverymaskError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:  # memory, a broken model: the page is told, the server lives
            job.state, job.error = "failed", f"{type(error).__name__}: {error}"
        self._tell(job)
        if job.findings is not None:
            job.histograms = _histograms(job.findings)
            self._tell(job)

    def _tell(self, job: Job) -> None:
        self.session.tell({"type": "job", **job.to_json()})


def _full(number: int, mask: Mask) -> dict[str, Any]:
    return {
        "id": number,
        "counts": mask.rle["counts"],
        "area": mask.area,
        "bbox": list(mask.bbox),
        "points": [list(xy) for xy in mask.point_coords or ()] or None,
    }


def _histograms(findings: Findings) -> dict[str, list[int]]:
    """How many masks there would be at each predicted IoU and stability, with both thresholds open."""
    masks = findings.masks(**OPEN)

    def counted(values: list[float]) -> list[int]:
        counts = [0] * BINS
        for value in values:
            counts[min(BINS - 1, max(0, int(value * BINS)))] += 1
        return counts

    return {
        "pred_iou_thresh": counted([mask.predicted_iou or 0.0 for mask in masks]),
        "stability_score_thresh": counted([mask.stability_score or 0.0 for mask in masks]),
    }
