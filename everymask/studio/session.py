"""A session of the studio: the project, the photos, the model; what every endpoint asks and does.

Methods may be called from any thread. What changes a photo is done by one caller at a time, and whoever
listens is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from everymask import InputError, Mask, PromptableModel, VideoTracker
from everymask.everything.presets import PRESETS, Preset
from everymask.formats import PhotoMasks
from everymask.formats.classes import Classes
from everymask.formats.record import label_of
from everymask.formats.video_record import ClipMasks
from everymask.image.pointing import Pointing
from everymask.masks import rle as runs_of
from everymask.media.photos import photo_size
from everymask.nn.cores import OneCore

from . import actions
from .beyond import Beyond, asked_beyond, class_news, learnt
from .classes import with_labels
from .clips.clip import Clip, ClipFile
from .clips.record import objects_of
from .corners import corners_of
from .document import Document, Draft, Item, Patch
from .known_masks import masks_in
from .photos import Photos, Source, View, depth_of, levels_of, pages_of
from .project import PhotoRow, Project, State
from .prompting import Prompting

Listener = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Begin:
    """What a session starts from."""

    project: Path
    photos: Sequence[tuple[Path, str]]  # file, and its name in the project
    known_masks: Mapping[str, PhotoMasks]  # by the name of the photo; used where the project has no masks yet
    uploads: Path  # where photos go that are dropped onto the page
    clips: Sequence[ClipFile] = ()
    known_clips: Mapping[str, ClipMasks] = field(default_factory=dict)  # as known_masks, for clips


class Session:
    """An open project with its model."""

    def __init__(
        self,
        begin: Begin,
        model: PromptableModel,
        model_name: str,
        tracker: VideoTracker | None = None,
        presets: Mapping[str, Preset] | None = None,
    ) -> None:
        """``tracker`` follows objects through clips, by default with the model. ``presets`` are offered for
        everything mode beside the library's, the first of them chosen to begin with.

        Raises OptionError for a model that cannot follow where there are clips, and what :class:`Project`
        and :class:`Clip` raise.
        """
        self.model_name = model_name
        self.presets = {**(presets or {}), **PRESETS}
        self.first_preset = next(iter(presets), None) if presets else None
        self._tracker = tracker
        self.project = Project(begin.project)
        self.photos = Photos(model)
        self.begin = begin
        self.clips: dict[int, Clip] = {}
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._pointing: tuple[Prompting, Pointing] | None = None  # of the picture that was pointed at last
        self._one_core = OneCore()
        with ExitStack() as opened:
            opened.callback(self.close)
            rows = self.project.add_photos([name for _, name in begin.photos])
            for row, (path, name) in zip(rows, begin.photos, strict=True):
                self.photos.add(Source(row.id, path, name))
            for file in begin.clips:
                self.add_clip(file)
            opened.pop_all()

    def close(self) -> None:
        """End; the project file is whole at any time, this only lets go of it."""
        for clip in self.clips.values():
            clip.close()
        self._one_core.close()
        self.project.close()

    # --- listeners --------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every event from now on; the function returned ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: dict[str, Any]) -> None:
        """Tell everybody who listens."""
        for listener in list(self._listeners):
            listener(event)

    # --- photos -----------------------------------------------------------------------------------

    def rows(self) -> list[PhotoRow]:
        """The photos of this session in their order."""
        by_id = {row.id: row for row in self.project.photos()}
        return [by_id[source.id] for source in self.photos]

    def add_photo(self, path: Path, name: str) -> int:
        """Add a file that was chosen by hand; its number."""
        (row,) = self.project.add_photos([name])
        self.photos.add(Source(row.id, path, name))
        self.tell({"type": "files"})
        return row.id

    def check_follows(self) -> VideoTracker:
        """What follows objects through clips. Raises OptionError where the model cannot."""
        if self._tracker is None:
            self._tracker = VideoTracker(self.photos.model)
        return self._tracker

    def add_clip(self, file: ClipFile) -> int:
        """Add a clip; its number. Raises as :class:`Clip` and :meth:`check_follows` do."""
        known = self.begin.known_clips.get(file.name)
        clip = Clip(file, self.project, self.check_follows(), self.tell, known)
        self.clips[clip.id] = clip
        if clip.is_new and known is not None:
            self._keep_numbers(f"clip/{clip.id}", known.classes)
            self._learn_classes([value["label"] for value in objects_of(clip.values).values()])
        self.tell({"type": "files"})
        return clip.id

    def open(self, photo: int) -> State:
        """The photo's masks as they stand; those known from files where it is opened for the first time."""
        source = self.photos.source(photo)
        with self._lock:
            state = self.project.state(photo)
            if state is not None:
                return state
            photo_hw = photo_size(source.path)
            known = self.begin.known_masks.get(source.name)
            if known is not None:
                check_size(source.name, known, photo_hw)
            called = self.project.called_now
            items = [
                Item(number, mask.replace(label=called(mask.label)))
                for number, mask in enumerate(known.masks if known else (), 1)
            ]
            if known is not None:
                self._keep_numbers(photo, known.classes)
            self._learn_classes([item.mask.label for item in items])
            return self.project.begin(photo, Document(photo_hw).with_items(*items))

    def facts(self, photo: int) -> dict[str, Any]:
        """What the page shows first: size, levels, masks, draft."""
        state = self.open(photo)
        view = self._settled_view(photo)
        return {
            "id": photo,
            "name": self.photos.source(photo).name,
            "path": str(self.photos.source(photo).path.absolute()),
            "levels": levels_of(state.document.photo_hw),
            "view": {"page": view.page, "range": view.range},
            "encoded": self.photos.is_encoded(photo),
            "document": state.document.to_json(),
            **self._standing(state),
        }

    def depth(self, photo: int) -> dict[str, Any]:
        """Pages and the range of values of a photo's file."""
        return depth_of(self.photos.source(photo).path, self.photos.view(photo).page)

    def set_view(self, photo: int, view: View) -> None:
        """Look at another page or range of values. The masks stay: pages of another size are refused."""
        state = self.open(photo)
        before = self.photos.view(photo)
        picture = self.photos.set_view(photo, view)
        if picture.hw != state.document.photo_hw:
            self.photos.set_view(photo, before)
            raise InputError(f"this page is of {picture.hw} pixels, the masks of {state.document.photo_hw}")
        self.project.set_setting(f"view/{photo}", {"page": view.page, "range": view.range})
        self.tell({"type": "view", "photo": photo})

    def _settled_view(self, photo: int) -> View:
        """The view: the one chosen last, and for files of several pages at first their first page."""
        view = self.photos.view(photo)
        if view == View():
            kept = self.project.setting(f"view/{photo}", {"page": None, "range": "percentile"})
            range = tuple(kept["range"]) if isinstance(kept["range"], list) else kept["range"]
            view = View(kept["page"], range)
            self.photos.look_at(photo, view)
        path = self.photos.source(photo).path
        may_have_pages = path.suffix.lower() in (".tif", ".tiff", ".gif", ".webp")
        if view.page is None and may_have_pages and pages_of(path) > 1:
            view = replace(view, page=0)
            self.photos.look_at(photo, view)
        return view

    # --- masks ------------------------------------------------------------------------------------

    def act(self, photo: int, version: int, action: Any, by: str = "") -> dict[str, Any]:
        """Do an action; what changed. Raises InputError, StaleError; nothing is changed then."""
        with self._lock:
            state = self.open(photo)
            document, title, beyond = state.document, "", Beyond()
            if state.version == version:  # otherwise commit refuses, before the model is asked in vain
                classes = self.classes()
                asked = asked_beyond(action, classes)
                if asked is None:
                    done = actions.perform(document, action, _Tools(self.photos, photo))
                    document, title = done.document, done.title
                    beyond = learnt(action, classes)
                else:
                    beyond, title = asked
            state, patch = self.project.commit(photo, version, document, title, beyond)
        return self._told(photo, state, patch, by)

    def add_masks_of(self, file: Path, by: str = "") -> dict[int, int]:
        """Add the masks of a file to the photos that it names, a step on each; how many, by the photo.

        Raises FormatError for a file that cannot be read or names no photo that is open, InputError for
        masks of a photo of another size; nothing is added then.
        """
        ids = {source.name: source.id for source in self.photos}
        with self._lock:
            found = masks_in([file], [(source.path, source.name) for source in self.photos])
            for name, known in found.items():
                check_size(name, known, self.open(ids[name]).document.photo_hw)
            for name, known in found.items():
                if len(known.masks):
                    new = [actions.new_mask(mask) for mask in known.masks]
                    self._keep_numbers(ids[name], known.classes)
                    self.act(ids[name], self.open(ids[name]).version, actions.Add(masks=new), by)
        return {ids[name]: len(known.masks) for name, known in found.items()}

    def act_on_clip(self, clip: int, version: int, action: Any, by: str = "") -> dict[str, Any]:
        """As :meth:`act`, in a clip; on the thread of the model."""
        return self.clips[clip].act(version, action, by)

    def undo(self, photo: int, version: int, by: str = "") -> dict[str, Any]:
        """Take the last action back; what changed."""
        self.open(photo)
        return self._told(photo, *self.project.undo(photo, version), by)

    def redo(self, photo: int, version: int, by: str = "") -> dict[str, Any]:
        """Do again what was taken back; what changed."""
        self.open(photo)
        return self._told(photo, *self.project.redo(photo, version), by)

    def _told(self, photo: int, state: State, patch: Patch, by: str) -> dict[str, Any]:
        news = class_news(patch, self.classes())
        outcome = {**self._standing(state), "patch": patch, **news}
        if patch:
            self.tell({"type": "changed", "photo": photo, "by": by, **outcome})
        if news:
            self.tell({"type": "classes", "by": by, **news})
        return outcome

    def _standing(self, state: State) -> dict[str, Any]:
        return {"version": state.version, "undo": state.undo, "redo": state.redo}

    def reply(self, photo: int, draft: Draft | None) -> dict[str, Any] | None:
        """The candidates for a draft at the size they are shown at; None where nothing is asked.

        Runs the model: call it where that is allowed.
        """
        if draft is None:
            return None
        document = self.open(photo).document
        seed = _seed_of(document, draft)
        if not draft.steps:
            return None
        prompting = self.photos.prompting(photo)
        answer = prompting.reply(draft, seed)
        assert answer is not None
        candidates = [
            {"score": float(score), **shown_mask(mask)}
            for score, mask in zip(answer.scores, answer.masks, strict=True)
        ]
        return {"candidates": candidates, "chosen": answer.chosen, "disobeyed": answer.disobeyed}

    def hover(self, photo: int, xy: tuple[float, float]) -> dict[str, Any]:
        """The mask under the pointer, small."""
        return self._pointed_at(self.photos.prompting(photo), xy)

    def hover_on_frame(self, clip: int, frame: int, xy: tuple[float, float]) -> dict[str, Any]:
        """As :meth:`hover`, on a frame of a clip, which is encoded when it was not yet."""
        prompting = self.photos.prompting_on(("frame", clip, frame), lambda: self.clips[clip].picture(frame))
        return self._pointed_at(prompting, xy)

    def _pointed_at(self, prompting: Prompting, xy: tuple[float, float]) -> dict[str, Any]:
        if self._pointing is None or self._pointing[0] is not prompting:
            self._pointing = prompting, Pointing(prompting.predictor)
        pointing = self._pointing[1]
        mask, score = self._one_core.run(lambda: prompting.hover(xy, pointing))
        return {"score": score, **shown_mask(mask)}

    def outline(self, photo: int, mask: int, detail_px: float) -> list[list[list[float]]]:
        """A mask as :func:`corners_of`. Raises KeyError where there is no such mask."""
        pixels = self.open(photo).document.items[mask].mask.segmentation
        return corners_of(pixels, detail_px)

    # --- classes ----------------------------------------------------------------------------------

    def classes(self) -> list[dict[str, str]]:
        """Names and colours, in the order of their number keys."""
        return self.project.classes()

    def set_classes(self, classes: list[dict[str, str]]) -> None:
        """Keep classes as they are given."""
        self.project.set_setting("classes", classes)
        self.tell({"type": "classes", "classes": classes, "renamed": None})

    def numbers(self, photo: int | str) -> Classes:
        """The class numbers of the file that the masks of a photo (or of "clip/ID") came from."""
        return Classes(**self.project.setting(f"numbers/{photo}", {}))

    def _keep_numbers(self, photo: int | str, classes: Classes) -> None:
        if classes:
            called = self.project.called_now
            numbers = {called(name): number for name, number in classes.numbers.items()}
            more = {called(name): dict(values) for name, values in classes.more.items()}
            kept = {"numbers": numbers, "numbering": classes.numbering, "more": more}
            self.project.set_setting(f"numbers/{photo}", kept)
            self._learn_classes([label_of(str(name)) for name in sorted(numbers, key=numbers.__getitem__)])

    def _learn_classes(self, labels: Sequence[str | None]) -> None:
        classes = self.classes()
        more = with_labels(classes, labels)
        if more != classes:
            self.set_classes(more)


class _Tools:
    """What actions need besides the document, for one photo."""

    def __init__(self, photos: Photos, photo: int) -> None:
        self._photos, self._photo = photos, photo

    def chosen_mask(self, draft: Draft, seed: Mask | None) -> tuple[np.ndarray, float]:
        return self._photos.prompting(self._photo).chosen_mask(draft, seed)


def shown_mask(mask: np.ndarray) -> dict[str, Any]:
    """A mask for the page: its own size and its runs as COCO's string."""
    coded = runs_of.to_coco(runs_of.encode(mask))
    return {"size": coded["size"], "counts": coded["counts"]}


def check_size(name: str, known: PhotoMasks, photo_hw: tuple[int, int]) -> None:
    """Raise InputError where masks are of a photo of another size than that of this name."""
    if known.photo_hw != photo_hw:
        raise InputError(
            f"the masks known for {name} are of a photo of {known.photo_hw} pixels (height, width), the "
            f"photo has {photo_hw}; was it resized or turned?"
        )


def _seed_of(document: Document, draft: Draft) -> Mask | None:
    item = None if draft.target is None else document.items.get(draft.target)
    return None if item is None else item.mask
