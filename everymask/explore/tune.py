"""The options that fit photos best: thresholds by search on findings, grids and crops by trying them.

Photos are split in two: the search sees one part, the gain is told on the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import InputError, OptionError, SessionError, require
from everymask.everything.findings import Findings
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.options_file import write_options
from everymask.explore.goals import WITH_MASKS, Wish, score_against
from everymask.explore.references import Example, find_examples
from everymask.explore.structures import Options, combinations
from everymask.maskset import MaskSet
from everymask.models.base import PromptableModel
from everymask.models.features import fingerprint
from everymask.models.load import load

SEARCHED: dict[str, tuple[float, float]] = {
    "pred_iou_thresh": (0.0, 0.98),
    "stability_score_thresh": (0.0, 0.99),
    "box_nms_thresh": (0.3, 0.95),
}
"""Thresholds that are searched, and between what: those that findings answer in some milliseconds."""
DECIMALS = 3  # of a threshold: finer is noise on photos that were not tuned on
GAIN_TOLD_FROM = 2  # photos: fewer cannot be split

Said = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trial:
    """Options that were tried on the photos tuned on."""

    options: Options
    score: float
    masks_per_photo: float


@dataclass(frozen=True)
class Told:
    """One photo that was not tuned on (or was, where there are too few): default against tuned."""

    example: Example
    before: float
    after: float
    masks_before: MaskSet
    masks_after: MaskSet


@dataclass(frozen=True)
class Tuning:
    """What :func:`tune` found."""

    options: Options
    """The best ones; pass them on: ``AutomaticMaskGenerator(model, **tuning.options)``."""
    goal: str | Wish
    model: str
    trials: tuple[Trial, ...]
    tuned_on: tuple[str, ...]
    """Names of the photos that the search saw."""
    told: tuple[Told, ...]
    """The photos that the gain is told on."""
    is_held_out: bool
    """Whether those were kept from the search."""
    problems: tuple[str, ...] = ()
    """A line for each photo that could not be used."""

    @property
    def before(self) -> float:
        """The model's default options on the photos that the gain is told on, 0 to 1."""
        return float(np.mean([each.before for each in self.told]))

    @property
    def after(self) -> float:
        """The tuned options on them."""
        return float(np.mean([each.after for each in self.told]))

    def save(self, path: str | Path) -> Path:
        """Write the options as TOML, which every command takes: ``--options tuned.toml``."""
        about = {
            "model": self.model,
            "goal": self.goal if isinstance(self.goal, str) else f"wish {dict(self.goal.weights)}",
            "tuned_on_photos": len(self.tuned_on),
            "told_on_photos": len(self.told),
            "held_out": self.is_held_out,
            "default": round(self.before, 4),
            "tuned": round(self.after, 4),
            "trials": len(self.trials),
        }
        return write_options(path, self.options, about)

    def __repr__(self) -> str:
        where = "photos kept aside" if self.is_held_out else "the same photos"
        return f"Tuning({self.before:.3f} -> {self.after:.3f} on {len(self.told)} {where}, {self.options})"


def tune(
    photos: str | Path,
    masks: str | Path | None = None,
    model: str | Path | PromptableModel = "nano",
    *,
    goal: str | Wish | None = None,
    trials: int = 200,
    study: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Said | None = None,
    **structures: Any,
) -> Tuning:
    """The options with which the masks of a folder of photos come nearest to ``goal``.

    ``masks`` are reference masks in any format that is read: one file, or a folder with a file a photo; the
    goal is then one of ``quality`` (the default), ``overlap``, ``recall``, ``count``. Without them it is a
    :class:`Wish` (by default: all of the photo covered, once). ``structures`` are options that decide what
    the model is asked, with the values to try: ``points_per_side=[16, 32], crop_n_layers=[0, 1]``.

    ``trials`` is how many thresholds are tried for each of those, on findings, without the model.
    ``study`` is a folder in which the search is kept: stopped, it goes on. ``progress`` is called with
    (what is done, number, of how many). Needs optuna.

    Raises :class:`InputError` where no photo can be used, :class:`OptionError` for goal and options.
    """
    if trials < 1:
        raise OptionError(f"trials must be at least 1, got {trials}")
    wanted = _goal(goal, has_masks=masks is not None)
    tried = combinations(structures)
    examples, problems = find_examples(photos, masks, all_have_masks=True)
    ready = model if isinstance(model, PromptableModel) else load(str(model), device=device)
    for structure in tried:
        AutomaticMaskGenerator(ready, **structure)  # a wrong one is said now
    seen, held = halves(examples)
    searches = [
        _search(
            ready,
            structure,
            seen,
            wanted,
            trials,
            _Study.of(study, ready, structure, wanted, seen),
            seed,
            progress,
        )
        for structure in tried
    ]
    every = [trial for search in searches for trial in search]
    best = max(every, key=lambda trial: trial.score)
    told = _told(ready, best.options, held or seen, wanted, progress)
    return Tuning(
        options=best.options,
        goal=wanted,
        model=ready.spec.name,
        trials=tuple(every),
        tuned_on=tuple(example.name for example in seen),
        told=told,
        is_held_out=bool(held),
        problems=tuple(problems),
    )


def halves(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Photos to tune on and photos to tell the gain on, every other one by name; one photo is tuned on."""
    ordered = sorted(examples, key=lambda example: example.name)
    if len(ordered) < GAIN_TOLD_FROM:
        return ordered, []
    return ordered[::2], ordered[1::2]


def score(masks: MaskSet, example: Example, goal: str | Wish) -> float:
    """How near the masks of a photo are to the goal, 0 to 1."""
    return goal.score(masks) if isinstance(goal, Wish) else score_against(masks, example.references, goal)


def _goal(goal: str | Wish | None, has_masks: bool) -> str | Wish:
    if goal is None:
        return "quality" if has_masks else Wish()
    if isinstance(goal, Wish):
        if has_masks:
            raise OptionError(f"with reference masks the goal is one of {', '.join(WITH_MASKS)}, not a wish")
        return goal
    if goal not in WITH_MASKS:
        raise OptionError(f"goal must be one of {', '.join(WITH_MASKS)}, or a Wish; got {goal!r}")
    if not has_masks:
        raise OptionError(f"the goal {goal!r} needs reference masks; pass masks=, or a Wish as the goal")
    return goal


@dataclass(frozen=True)
class _Study:
    """Where a search is kept: the trials and the findings of its photos.

    Trials belong to all of the photos and masks; findings to one photo, so that those of the others stay
    good when photos come or go.
    """

    name: str
    asked: str  # what the model is asked, and which model
    folder: Path | None

    @classmethod
    def of(
        cls,
        folder: str | Path | None,
        model: PromptableModel,
        structure: Options,
        goal: str | Wish,
        examples: Sequence[Example],
    ) -> _Study:
        asked = f"{fingerprint(model)} {sorted(structure.items())}"
        named = [(example.name, example.path.stat().st_size, _digest(example)) for example in examples]
        path = None if folder is None else Path(folder)
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        return cls(_short(f"{asked} {goal} {named}"), _short(asked), path)

    def optuna(self, seed: int) -> Any:
        """The study, with the trials of an earlier run."""
        optuna = require("optuna", "tune", "tuning")
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # else a stop is told with a traceback
        storage = None
        if self.folder is not None:
            backend = optuna.storages.journal.JournalFileBackend(str(self.folder / f"{self.name}.log"))
            storage = optuna.storages.JournalStorage(backend)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=20)
        return optuna.create_study(
            study_name=self.name, storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
        )

    def findings(self, model: PromptableModel, structure: Options, example: Example) -> Findings:
        """Those of an earlier run, or anew."""
        photo = example.read()
        generator = AutomaticMaskGenerator(model, **structure)
        if self.folder is None:
            return generator.explore(photo.values, valid=photo.valid)
        path = self.folder / f"{self.asked}-{example.name}.findings"
        if path.exists():
            try:
                return Findings.load(path, model, photo.values)
            except SessionError:  # of another photo or model by now
                path.unlink()
        findings = generator.explore(photo.values, valid=photo.valid)
        findings.save(path)
        return findings


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(example: Example) -> str:
    """Tells the reference masks of a photo from others."""
    sizes = [[mask.rle["counts"] for mask in masks] for masks in example.references]
    return _short(repr(sizes))


def _search(
    model: PromptableModel,
    structure: Options,
    examples: Sequence[Example],
    goal: str | Wish,
    trials: int,
    kept: _Study,
    seed: int,
    progress: Said | None,
) -> list[Trial]:
    """Every trial of the thresholds for what the model is asked under ``structure``."""
    found = []
    for number, example in enumerate(examples, 1):
        found.append(kept.findings(model, structure, example))
        if progress is not None:
            told = "".join(f", {name} {value}" for name, value in structure.items())
            progress(f"asked {example.name}{told}", number, len(examples))
    study = kept.optuna(seed)
    defaults = AutomaticMaskGenerator(model, **structure).options
    done = sum(trial.value is not None for trial in study.trials)  # those that were stopped have none
    if done == 0:
        study.enqueue_trial({name: getattr(defaults, name) for name in SEARCHED})
    turns = count(done + 1)

    def objective(trial: Any) -> float:
        thresholds = {
            name: round(
                trial.suggest_float(
                    name, min(low, getattr(defaults, name)), max(high, getattr(defaults, name))
                ),
                DECIMALS,
            )
            for name, (low, high) in SEARCHED.items()
        }
        answers = [findings.masks(**thresholds) for findings in found]
        trial.set_user_attr("masks", float(np.mean([len(masks) for masks in answers])))
        if progress is not None:
            progress("tried thresholds", next(turns), trials)
        return float(np.mean([score(masks, e, goal) for masks, e in zip(answers, examples, strict=True)]))

    if done < trials:
        study.optimize(objective, n_trials=trials - done)
    return [
        Trial(
            {**structure, **{name: round(value, DECIMALS) for name, value in trial.params.items()}},
            trial.value,
            trial.user_attrs["masks"],
        )
        for trial in study.trials
        if trial.value is not None
    ]


def _told(
    model: PromptableModel,
    options: Mapping[str, Any],
    examples: Sequence[Example],
    goal: str | Wish,
    progress: Said | None,
) -> tuple[Told, ...]:
    default, tuned = AutomaticMaskGenerator(model), AutomaticMaskGenerator(model, **options)
    told = []
    for number, example in enumerate(examples, 1):
        photo = example.read()
        before, after = (each.generate(photo.values, valid=photo.valid) for each in (default, tuned))
        told.append(Told(example, score(before, example, goal), score(after, example, goal), before, after))
        if progress is not None:
            progress(f"compared {example.name}", number, len(examples))
    if not told:
        raise InputError("there is no photo to tell the gain on")
    return tuple(told)
