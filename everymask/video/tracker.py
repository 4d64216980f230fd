"""``VideoTracker``: a model that follows objects through clips."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import Any

from everymask.errors import OptionError
from everymask.media.videos import open_frames
from everymask.models.base import PromptableModel
from everymask.models.sam2 import Sam2
from everymask.video.options import TrackerOptions
from everymask.video.saving import read_session
from everymask.video.session import VideoSession


class VideoTracker:
    """Follows objects through clips with a SAM 2 model or nano.

    >>> import everymask as em                                             # doctest: +SKIP
    >>> tracker = em.VideoTracker(em.load("nano"))                         # doctest: +SKIP
    >>> with tracker.open("clip.mp4") as session:                          # doctest: +SKIP
    ...     session.add_prompt(frame=0, object_id=1, points=[(210, 350)])
    ...     for frame in session.propagate():
    ...         print(frame.index, frame.masks.shape, frame.visible)
    """

    def __init__(self, model: PromptableModel, options: TrackerOptions | None = None, **changes: Any) -> None:
        """``changes`` are fields of :class:`TrackerOptions`: ``VideoTracker(model, non_overlap_masks=True)``.

        Raises OptionError for a model without memory, and for unknown options.
        """
        if not isinstance(model, Sam2) or model.spec.memory is None:
            name = getattr(getattr(model, "spec", None), "name", type(model).__name__)
            raise OptionError(f"{name} has no memory and cannot follow objects; load a SAM 2 model or nano")
        self.model = model
        self.options = _with_changes(options or TrackerOptions(), changes)

    def open(
        self,
        source: Any,
        *,
        cache_mb: float = 256,
        keep_up: bool = False,
        autosave: str | os.PathLike[str] | None = None,
        autosave_every: int = 50,
    ) -> VideoSession:
        """A session on a clip: a video file, a folder or list of pictures, an array [N, H, W, 3], an
        iterator of frames, a camera number or a stream's address.

        Decoded frames take at most ``cache_mb``. ``keep_up=True`` leaves out frames of a live source that
        come faster than they can be tracked, and says so (``frame.skipped``). With ``autosave`` the
        session is saved to that file every ``autosave_every`` frames. Raises VideoError, OptionError, and
        SessionError if nothing can be written to ``autosave``.
        """
        session = VideoSession(
            self.model, open_frames(source, cache_mb=cache_mb, keep_up=keep_up), self.options
        )
        session.source.first_thumbnail  # noqa: B018  a clip that cannot be read says so now
        if autosave is not None:
            session.autosave(autosave, autosave_every)
        return session

    def resume(
        self,
        path: str | os.PathLike[str],
        source: Any,
        *,
        cache_mb: float = 256,
        autosave: str | os.PathLike[str] | None = None,
        autosave_every: int = 50,
    ) -> VideoSession:
        """The session that was saved to ``path``, on the same clip; it continues to the same masks.

        ``session.propagate(start=session.progress.next_frame, ...)`` goes on where it stood. The saved
        options are used. Raises SessionError if the file is damaged or no session, or was made with other
        weights or on another clip; nothing is written then.
        """
        saved = read_session(path, self.model)
        session = VideoSession(self.model, open_frames(source, cache_mb=cache_mb), saved.options)
        saved.restore(session)
        if autosave is not None:
            session.autosave(autosave, autosave_every)
        return session

    def __repr__(self) -> str:
        return f"VideoTracker({self.model.spec.name})"


def _with_changes(options: TrackerOptions, changes: dict[str, Any]) -> TrackerOptions:
    known = [field.name for field in fields(options)]
    for name in changes:
        if name not in known:
            raise OptionError(f"unknown option {name!r}; a tracker takes {', '.join(known)}")
    return replace(options, **changes)
